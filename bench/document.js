import { KERNEL_HEAD, kernelRows } from "./kernels.js";
import { KINDS, OURS } from "./peers/kinds.js";
import { tickLabel } from "./svg.js";
import { table } from "./table.js";
import { digits, percent, ratio, short } from "./time.js";

/* What was measured, as Markdown. Nothing in it is typed. */

const kB = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;
const MB = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`;

/** @param {ReturnType<typeof import("./machine.js").machine>} machine */
function machineSection({ cpu, cores, memory, system, node, v8, packageVersion, commit, load, seconds }) {
  return [
    `${cores} × ${cpu}, ${memory} of memory, ${system}; Node ${node}, V8 ${v8}; ifm-wasm ${packageVersion}, commit ${commit}.`,
    `The run took ${(seconds / 60).toFixed(1)} minutes; the load average was ${load.before} when it began and ${load.after}`,
    "when it ended (1.0 is this program alone: more is other work on the same cores).",
  ].join("\n");
}

/** @param {import("./limits.js").Limits} limits */
function limitsSection({ registers, gemm, triad, cached, rows }) {
  const of = (what, value, unit) => [what, digits(value), unit];
  return [
    "## Limits of one core",
    "",
    table(
      ["micro-kernel", ">rate", "unit"],
      [
        of("multiply and add, from registers, 8 accumulators", registers, "GFLOP/s"),
        of("product [48 × 256] [256 × 8], in cache", gemm, "GFLOP/s"),
        of("triad a = b + s c, 3 × 64 kB", cached, "GB/s"),
        of("triad, 3 × 64 MiB", triad, "GB/s"),
        ...rows.map(({ bytes, rate }) => of(`random rows of 1 kB, read from ${bytes / 1e6} MB`, rate, "GB/s")),
      ],
    ),
  ];
}

function kernelsSection(results) {
  return ["## Kernels", "", table(KERNEL_HEAD, kernelRows(results))];
}

const MODEL_HEAD = [
  "model",
  ">threads",
  ">train rows/s",
  ">kFLOP a row",
  ">GFLOP/s",
  ">GB/s",
  ">of limit",
  "limit",
  ">predict rows/s",
  ">GFLOP/s",
  ">of limit",
];

/** @param {Awaited<ReturnType<typeof import("./models.js").benchModels>>} results of one shape of data */
const modelRows = (results) =>
  results.map((r) => [
    r.title,
    r.threads,
    short(r.train),
    Number.isFinite(r.gflops) ? digits(r.flops / 1000) : "–",
    digits(r.gflops),
    digits(r.gbs),
    percent(r.fraction),
    r.by,
    short(r.predict),
    digits(r.prediction.gflops),
    percent(r.prediction.fraction),
  ]);

function modelsSection(results) {
  const names = {
    frappe: "Frappe: 10 fields, 5,382 features, batches of 2,048",
    "ml-tag": "MovieLens tags: 3 fields, 90,445 features, batches of 4,096",
  };
  const lines = ["## Models"];
  for (const data of new Set(results.map((result) => result.data))) {
    const ofData = results.filter((result) => result.data === data);
    lines.push("", `### ${names[data]}`, "", table(MODEL_HEAD, modelRows(ofData)));
    const single = ofData.filter(({ threads }) => threads === 1);
    lines.push(
      "",
      table(
        ["model", ">parameters", ">memory in training"],
        single.map(({ title, parameters, memoryBytes }) => [title, short(parameters), MB(memoryBytes)]),
      ),
    );
  }
  return lines;
}

/** @param {Awaited<ReturnType<typeof import("./fast.js").benchFast>>} results */
function fastSection({ version, results }) {
  const kinds = (result) => [result.train, result.predict];
  return [
    "## Relaxed SIMD",
    "",
    `Rows/s with the baseline module and with that of relaxed SIMD, in turn, by Node ${version}; the gain is the median of the rounds' ratios.`,
    "`--fast` takes the latter for FM with 32 factors or more, AFM with ten fields or more, IFM and DeepIFM.",
    "",
    results.length === 0
      ? "No version of Node with relaxed SIMD was found."
      : table(
          ["model", "shape", ">train", ">relaxed", ">gain", ">predict", ">relaxed", ">gain"],
          results.map((result) => [
            result.title,
            result.data,
            ...kinds(result).flatMap(({ plain, fast, gain }) => [short(plain), short(fast), ratio(gain)]),
          ]),
        ),
  ];
}

/** @param {ReturnType<typeof import("./versions.js").benchVersions>} results */
function versionsSection({ versions, rows }) {
  if (versions.length === 1) return ["## Kernels by version of Node", "", "No other version was found."];
  return [
    "## Kernels by version of Node",
    "",
    "Nanoseconds of the calls above; in brackets, how many times as fast the first version is.",
    "",
    table(
      ["kernel", ...versions.map((version) => `>${version}`)],
      rows.map(({ kernel, nanoseconds: [own, ...others] }) => [
        kernel,
        digits(own),
        ...others.map((time) => `${digits(time)} (${ratio(time / own)})`),
      ]),
    ),
  ];
}

function scalingSection(sweeps, folder) {
  return [
    "## Scaling",
    ...sweeps.flatMap(({ name, title, x, series }) => [
      "",
      `![${title}](${folder}/${name}.svg)`,
      "",
      table(
        [x, ...series.map((line) => `>${line.name}`)],
        series[0].points.map(([point], i) => [tickLabel(point), ...series.map((line) => short(line.points[i][1]))]),
      ),
    ]),
  ];
}

function startSection({ rows, imported, loaded, parse, sizes }) {
  return [
    "## Start, size, one row, reading",
    "",
    table(
      ["", ">"],
      [
        ["import of the package, fresh process", `${digits(imported)} ms`],
        ["first model: compilation, instantiation, weights", `${digits(loaded)} ms`],
        ["library, minified and gzipped", kB(sizes.codeGzip)],
        ["kernels, gzipped", kB(sizes.wasmGzip)],
        ["both", kB(sizes.codeGzip + sizes.wasmGzip)],
        ...rows.map(({ title, microseconds }) => [`one row by \`predict\`, ${title}`, `${digits(microseconds)} µs`]),
        ["libFM text", `${digits(parse.rate)} MB/s`],
      ],
    ),
  ];
}

/** A peer's cell: its rate and how many times as fast ours is. */
function cell(results, title, name, kind) {
  const found = results.find((result) => result.title === title && result.name === name && result.kind === kind);
  if (!found) return "–";
  if (found.why) return "not ours";
  const rate = kind === "one row" ? `${digits(1e6 / found.rate)} µs` : short(found.rate);
  return name === OURS ? `**${rate}**` : `${rate} (${ratio(found.ratio)})`;
}

/** @param {Awaited<ReturnType<typeof import("./rank.js").benchRank>>} results */
function rankSection(results) {
  const times = (time, { rank }) => (time === undefined ? "–" : `${digits(time)} (${ratio(time / rank)})`);
  return [
    "## Ranking",
    "",
    `${results[0].candidates.toLocaleString("en")} candidates of two fields that share a context of eight, on one thread, the ten best of them wanted: milliseconds of the processor of`,
    "`model.rank`, and of scoring the joined rows (in brackets how many times as long that takes).",
    "",
    table(
      ["model", ">rank, ms", ">joined rows, one call", ">joined rows, one by one", ">onnxruntime-web, one call"],
      results.map((r) => [r.title, digits(r.rank), times(r.predict, r), times(r.single, r), times(r.onnx, r)]),
    ),
  ];
}

/** @param {Awaited<ReturnType<typeof import("./small.js").benchSmall>>} results */
function smallSection(results) {
  const cells = ([f32, ...small]) => [
    digits(f32.microseconds),
    ...small.map((r) => `${digits(r.microseconds)} (${ratio(r.ratio)})`),
  ];
  return [
    "## Small tables",
    "",
    "Prediction on the Frappe shape, one thread, from tables of 32-bit floats and from what `ifm-wasm quantize` makes of them, in turn: microseconds",
    "of a row, of 4,096 in a call and of one (in brackets how many times as long as from 32-bit floats).",
    "",
    table(
      ["model", ">f32, rows", ">f16", ">int8", ">f32, one row", ">f16", ">int8"],
      results.map(({ title, batch, single }) => [title, ...cells(batch), ...cells(single)]),
    ),
  ];
}

/** @param {Awaited<ReturnType<typeof import("./peers/index.js").benchPeers>>} peers */
function peersSection({ tasks, peers, missing, rounds, results }) {
  const titles = { train: "Training, rows/s", predict: "Prediction, rows/s", "one row": "One row, µs" };
  const lines = [
    "## Peers",
    "",
    `Medians of ${rounds} rounds or more in turn; in brackets, how many times as fast ours is.`,
  ];
  for (const kind of KINDS) {
    const names = [OURS, ...peers.map(({ name }) => name)].filter((name) =>
      results.some((result) => result.name === name && result.kind === kind),
    );
    const labels = new Map(peers.map(({ name, version }) => [name, version ? `${name} ${version}` : name]));
    lines.push(
      "",
      `### ${titles[kind]}`,
      "",
      table(
        ["", ...tasks.map((title) => `>${title}`)],
        names.map((name) => [labels.get(name) ?? name, ...tasks.map((title) => cell(results, title, name, kind))]),
      ),
    );
  }
  const unequal = results
    .filter(({ why }) => why)
    .map(({ title, name, kind, why }) => `- ${name}, ${title}, ${kind}: ${why}`);
  if (unequal.length > 0) lines.push("", "Not timed, because it did not compute what ours does:", "", ...unequal);
  if (missing.length > 0) lines.push("", ...missing.map((line) => `- ${line}`));
  return lines;
}

/**
 * The generated part of docs/BENCHMARKS.md.
 *
 * @param {object} results of bench/run.js; parts that were not run are absent
 * @param {string} plots   folder of the plots, from the document
 */
export function document(results, plots) {
  const sections = [
    [machineSection(results.machine)],
    limitsSection(results.limits),
    ...(results.peers ? [peersSection(results.peers)] : []),
    ...(results.models ? [modelsSection(results.models)] : []),
    ...(results.rank ? [rankSection(results.rank)] : []),
    ...(results.small ? [smallSection(results.small)] : []),
    ...(results.fast ? [fastSection(results.fast)] : []),
    ...(results.start ? [startSection(results.start)] : []),
    ...(results.scaling ? [scalingSection(results.scaling, plots)] : []),
    ...(results.kernels ? [kernelsSection(results.kernels)] : []),
    ...(results.versions ? [versionsSection(results.versions)] : []),
  ];
  return sections.map((lines) => lines.join("\n")).join("\n\n");
}

/** What README says of speed: ratios of the last whole run. */
export function readmeTable({ peers: { tasks, peers, results }, start, machine }) {
  const wanted = [
    ["train", "FM 8"],
    ["train", "FM 64"],
    ["train", "IFM [8, 256]"],
    ["predict", "FM 64"],
    ["predict", "IFM [8, 256]"],
  ].filter(([, title]) => tasks.includes(title));
  const of = (name) =>
    wanted.map(([kind, title]) => {
      const found = results.find((r) => r.title === title && r.name === name && r.kind === kind && !r.why);
      if (!found) return "–";
      return name === OURS ? `${short(found.rate)} rows/s` : ratio(found.ratio);
    });
  const names = [OURS, ...peers.map(({ name }) => name)].filter((name) => of(name).some((text) => text !== "–"));
  return [
    table(
      ["one thread", ...wanted.map(([kind, title]) => `>${kind} ${title}`)],
      names.map((name) => [name === OURS ? name : `times as fast as ${name}`, ...of(name)]),
    ),
    "",
    `Measured on ${machine.cpu}, Node ${machine.node}, load average ${machine.load.before} when it began (1.0 or less: nothing else was`,
    `running). Library and kernels are ${kB(start.sizes.codeGzip + start.sizes.wasmGzip)} gzipped; importing takes ${digits(start.imported)} ms, the first model ${digits(start.loaded)} ms more.`,
  ].join("\n");
}

/** Replaces what stands between two lines of a text. */
export function replaceBetween(text, begin, end, inside) {
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`the document must have the lines ${begin} and ${end}`);
  return `${text.slice(0, from + begin.length)}\n\n${inside}\n\n${text.slice(to)}`;
}
