import { describe, expect, it } from "vitest";
import { label, type MetricsSnapshot, metricsText } from "../../src/serve/metrics.js";
import { mergeMetrics } from "../../src/serve.js";
import { ROW, served, smallModel } from "./support.js";

/** A reader of the text format of Prometheus that takes nothing but what its grammar has. */
function parseMetrics(text: string) {
  const types = new Map<string, string>();
  const helped = new Set<string>();
  const series = new Map<string, number>();
  expect(text.endsWith("\n")).toBe(true);
  for (const line of text.slice(0, -1).split("\n")) {
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][\w:]*) (.+)$/.exec(line);
    if (comment) {
      const [, kind, name, rest] = comment as unknown as [string, string, string, string];
      if (kind === "HELP") helped.add(name);
      else {
        expect(["counter", "gauge", "histogram"]).toContain(rest);
        expect(types.has(name), `${name} twice`).toBe(false);
        types.set(name, rest);
      }
      continue;
    }
    const sample = /^([a-zA-Z_:][\w:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*\})? (\S+)$/.exec(line);
    expect(sample, line).not.toBeNull();
    const [, name, labels = "", value] = sample as unknown as [string, string, string | undefined, string];
    const base = name.replace(/_(bucket|sum|count)$/, "");
    const family = types.get(name) === undefined ? base : name;
    expect(types.get(family), `${name} has no type before it`).toBeDefined();
    expect(helped.has(family)).toBe(true);
    expect(Number.isFinite(Number(value)), line).toBe(true);
    expect(series.has(name + labels), `${line} twice`).toBe(false);
    series.set(name + labels, Number(value));
  }
  return { types, series };
}

describe("/metrics", () => {
  it("counts requests, rows, unknown features and seconds in the format of Prometheus", async () => {
    using model = await smallModel();
    const { get, post } = served(model);
    await post("/v1/predict", { rows: [{ features: ROW }, { features: [1, 7, 99] }] });
    await post("/v1/rank", { context: { features: [1, 7] }, candidates: { count: 3, features: [12, 13, 99] } });
    await post("/v1/predict", "not JSON");
    await get("/nowhere/at/all");
    const { text, type } = await get("/metrics");
    expect(type).toBe("text/plain; version=0.0.4; charset=utf-8");
    const { series, types } = parseMetrics(text);
    expect(types.get("ifm_request_seconds")).toBe("histogram");
    expect(Object.fromEntries(series)).toMatchObject({
      'ifm_requests_total{route="predict",status="200"}': 1,
      'ifm_requests_total{route="predict",status="400"}': 1,
      'ifm_requests_total{route="rank",status="200"}': 1,
      'ifm_requests_total{route="none",status="404"}': 1,
      'ifm_rows_total{route="predict"}': 2,
      'ifm_rows_total{route="rank"}': 3,
      ifm_unknown_features_total: 2,
      ifm_requests_in_flight: 1,
      ifm_pending_body_bytes: 0,
      'ifm_request_seconds_count{route="predict"}': 2,
      'ifm_request_seconds_bucket{route="predict",le="+Inf"}': 2,
    });
    const buckets = [...series].filter(([key]) => key.startsWith('ifm_request_seconds_bucket{route="predict"'));
    expect(buckets.length).toBeGreaterThan(5);
    const values = buckets.map(([, value]) => value);
    expect(values).toEqual([...values].sort((a, b) => a - b));
  });

  it("has as many series after requests of any kind: routes and statuses, nothing of what clients send", async () => {
    using model = await smallModel();
    const { get, post, handler } = served(model);
    const ask = async () => {
      for (let i = 0; i < 20; i++) {
        await get(`/path-${Math.random()}`);
        await post("/v1/predict", { [`member-${Math.random()}`]: 1 });
        await post("/v1/predict", { rows: [] }, { "content-type": `type/${Math.random()}` });
      }
      return Object.values(handler.metrics()).reduce((sum, family) => sum + Object.keys(family.series).length, 0);
    };
    const once = await ask();
    expect(await ask()).toBe(once);
  });

  it("shows what several processes have counted, when told how", async () => {
    using model = await smallModel();
    const other = served(model);
    await other.post("/v1/predict", { rows: [] });
    const collect = async (own: MetricsSnapshot) => mergeMetrics([own, other.handler.metrics()]);
    const { get, post } = served(model, { collect });
    await post("/v1/predict", { rows: [] });
    const { series } = parseMetrics((await get("/metrics")).text);
    expect(series.get('ifm_requests_total{route="predict",status="200"}')).toBe(2);
  });
});

describe("snapshots", () => {
  it("are added up, or the largest is taken", () => {
    const snapshot = (value: number): MetricsSnapshot => ({
      a: { type: "counter", help: "A.", series: { "": value, '{x="1"}': 1 } },
      b: { type: "gauge", help: "B.", merge: "max", series: { [`{y=${label("q")}}`]: value } },
    });
    const only: MetricsSnapshot = { c: { type: "gauge", help: "C.", series: { "": 7 } } };
    const merged = mergeMetrics([snapshot(2), snapshot(5), only]);
    expect(Object.values(merged).map(({ series }) => series)).toEqual([
      { "": 7, '{x="1"}': 2 },
      { '{y="q"}': 5 },
      { "": 7 },
    ]);
    expect(mergeMetrics([])).toEqual({});
  });

  it("quote what labels may hold", () => {
    const text = metricsText({ a: { type: "gauge", help: "A.", series: { [`{x=${label('"\\\n')}}`]: 1 } } });
    expect(parseMetrics(text).series.size).toBe(1);
  });
});
