import type { EpochEvent, Metrics } from "ifm-wasm/worker";
import uPlot from "uplot";
import { byId, formatCount, formatNumber, formatPercent, h, show } from "./dom.js";
import { color, onThemeChange } from "./theme.js";

type MetricName = "logloss" | "rmse" | "auc" | "accuracy";

const METRICS: Record<MetricName, { label: string; format: (value: number) => string }> = {
  logloss: { label: "Log loss", format: formatNumber },
  rmse: { label: "RMSE", format: formatNumber },
  auc: { label: "AUC", format: formatNumber },
  accuracy: { label: "Accuracy", format: formatPercent },
};

const HEIGHT = 240;

/** The curves of a run, live, and the table behind them. */
export class Curves {
  readonly #container = byId("curves");
  readonly #legend = byId("curves-legend");
  readonly #epochs: EpochEvent[] = [];
  #metric: MetricName = "logloss";
  #available: MetricName[] = ["logloss", "rmse", "auc", "accuracy"];
  #plot: uPlot | undefined;

  constructor() {
    onThemeChange(() => this.#draw());
    new ResizeObserver(() => this.#plot?.setSize({ width: this.#container.clientWidth, height: HEIGHT })).observe(
      this.#container,
    );
    this.#drawMetrics();
    this.#draw();
  }

  /** Begins a new run. */
  clear(): void {
    this.#epochs.length = 0;
    byId("epochs-body").replaceChildren();
    this.#draw();
  }

  add(event: EpochEvent): void {
    this.#epochs.push(event);
    if (this.#epochs.length === 1) {
      const names = Object.keys(METRICS) as MetricName[];
      this.#available = names.filter((name) => event.train[name] !== undefined);
      if (!this.#available.includes(this.#metric)) this.#metric = this.#available[0]!;
      this.#drawMetrics();
      this.#drawHead();
      this.#draw();
    }
    this.#plot?.setData(this.#data());
    this.#drawLegend(this.#epochs.length - 1);
    byId("epochs-body").append(this.#tableRow(event));
  }

  #valuesOf(set: "train" | "validation"): (number | null)[] {
    return this.#epochs.map((event) => event[set]?.[this.#metric] ?? null);
  }

  #data(): uPlot.AlignedData {
    return [this.#epochs.map(({ epoch }) => epoch), this.#valuesOf("train"), this.#valuesOf("validation")];
  }

  #draw(): void {
    this.#plot?.destroy();
    const axis: uPlot.Axis = {
      stroke: color("muted"),
      font: '12px "Inter Variable", sans-serif',
      grid: { stroke: color("line"), width: 1 },
      ticks: { show: false },
    };
    const { format } = METRICS[this.#metric];
    const series = (name: string, line: string, dash?: number[]): uPlot.Series => {
      const points = { show: () => this.#epochs.length < 3, size: 7, fill: line };
      return { label: name, stroke: line, width: 2, points, ...(dash ? { dash } : {}) };
    };
    this.#plot = new uPlot(
      {
        width: Math.max(200, this.#container.clientWidth),
        height: HEIGHT,
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 8 } },
        scales: { x: { time: false, range: (_, least, most) => [Math.min(1, least ?? 1), Math.max(2, most ?? 10)] } },
        axes: [
          { ...axis, size: 32, space: 40, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500] },
          { ...axis, size: 62, values: (_, ticks) => ticks.map((tick) => format(tick)) },
        ],
        series: [{}, series("training", color("train"), [5, 4]), series("validation", color("validation"))],
        hooks: { setCursor: [(plot) => this.#drawLegend(plot.cursor.idx ?? this.#epochs.length - 1)] },
      },
      this.#data(),
      this.#container,
    );
    this.#drawLegend(this.#epochs.length - 1);
  }

  /** What the lines are, and their values at an epoch. */
  #drawLegend(at: number): void {
    const event = this.#epochs[at];
    const { format, label } = METRICS[this.#metric];
    const item = (set: "train" | "validation", name: string) => {
      const value = event?.[set]?.[this.#metric];
      return h("span", { class: `key ${set}` }, name, value !== undefined && h("b", {}, format(value)));
    };
    this.#legend.replaceChildren(
      h("span", {}, event ? `${label}, epoch ${event.epoch}` : label),
      item("train", "training"),
      item("validation", "held out"),
    );
  }

  #drawMetrics(): void {
    const buttons = this.#available.map((name) => {
      const choose = () => {
        this.#metric = name;
        this.#drawMetrics();
        this.#draw();
      };
      return h(
        "button",
        { type: "button", "aria-pressed": String(name === this.#metric), onclick: choose },
        METRICS[name].label,
      );
    });
    byId("metrics").replaceChildren(...buttons);
  }

  #drawHead(): void {
    const both = this.#available.flatMap((name) => [`${METRICS[name].label}, training`, `held out`]);
    const cells = ["Epoch", ...both, "Rows/s"].map((text) => h("th", { scope: "col" }, text));
    byId("epochs-head").replaceChildren(h("tr", {}, ...cells));
    show(byId("epochs"), true);
  }

  #tableRow({ epoch, train, validation, rowsPerSecond }: EpochEvent): HTMLElement {
    const cell = (metrics: Metrics | undefined, name: MetricName) => {
      const value = metrics?.[name];
      return h("td", {}, value === undefined ? "" : METRICS[name].format(value));
    };
    const values = this.#available.flatMap((name) => [cell(train, name), cell(validation, name)]);
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, epoch),
      ...values,
      h("td", {}, formatCount(Math.round(rowsPerSecond))),
    );
  }
}
