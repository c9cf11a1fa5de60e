/** A family of series in the text format of Prometheus. */
export interface Family {
  type: "counter" | "gauge" | "histogram";
  help: string;
  /** How processes put theirs together; `sum` unless said otherwise. */
  merge?: "sum" | "max";
  /** Values by what follows the name: `{route="rank",status="200"}`, `_bucket{route="rank",le="0.001"}`, or nothing. */
  series: Record<string, number>;
}

/** All that a process has counted, by name; plain JSON. */
export type MetricsSnapshot = Record<string, Family>;

/** Upper bounds of the buckets, in seconds. */
const BUCKETS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

/** What one request was. */
export interface Observed {
  /** One of a fixed set of names: a series never goes away again. */
  route: string;
  status: number;
  seconds: number;
  bodyBytes: number;
  /** Rows or candidates that were scored. */
  rows: number;
  unknownFeatures: number;
}

/** What a handler counts. */
export class Metrics {
  readonly #requests: Family = { type: "counter", help: "Requests, by route and status.", series: {} };
  readonly #seconds: Family = { type: "histogram", help: "Seconds from a request to its response.", series: {} };
  readonly #bodyBytes = total("Bytes of request bodies.");
  readonly #rows: Family = { type: "counter", help: "Rows and candidates that were scored, by route.", series: {} };
  readonly #unknown = total("Slots of requests whose feature the model does not know.");
  #inFlight = 0;

  begin(): void {
    this.#inFlight++;
  }

  end({ route, status, seconds, bodyBytes, rows, unknownFeatures }: Observed): void {
    this.#inFlight--;
    add(this.#requests, `{route="${route}",status="${status}"}`, 1);
    for (const bound of BUCKETS) {
      // A series appears with its first request: as 0 where that is not counted.
      add(this.#seconds, `_bucket{route="${route}",le="${bound}"}`, seconds <= bound ? 1 : 0);
    }
    add(this.#seconds, `_bucket{route="${route}",le="+Inf"}`, 1);
    add(this.#seconds, `_sum{route="${route}"}`, seconds);
    add(this.#seconds, `_count{route="${route}"}`, 1);
    add(this.#bodyBytes, "", bodyBytes);
    if (rows > 0) add(this.#rows, `{route="${route}"}`, rows);
    add(this.#unknown, "", unknownFeatures);
  }

  snapshot(pendingBytes: number): MetricsSnapshot {
    return {
      ifm_requests_total: this.#requests,
      ifm_request_seconds: this.#seconds,
      ifm_request_body_bytes_total: this.#bodyBytes,
      ifm_rows_total: this.#rows,
      ifm_unknown_features_total: this.#unknown,
      ifm_requests_in_flight: gauge("Requests that have no response yet.", this.#inFlight),
      ifm_pending_body_bytes: gauge("Bytes of request bodies that are being read.", pendingBytes),
    };
  }
}

function total(help: string): Family {
  return { type: "counter", help, series: { "": 0 } };
}

/** A number as it is now. */
export function gauge(help: string, value: number): Family {
  return { type: "gauge", help, series: { "": value } };
}

function add({ series }: Family, key: string, value: number): void {
  series[key] = (series[key] ?? 0) + value;
}

/** What several processes have counted, together. */
export function mergeMetrics(snapshots: readonly MetricsSnapshot[]): MetricsSnapshot {
  const merged: MetricsSnapshot = {};
  for (const [name, family] of snapshots.flatMap((snapshot) => Object.entries(snapshot))) {
    merged[name] ??= { ...family, series: {} };
    const { series } = merged[name];
    for (const [key, value] of Object.entries(family.series)) {
      const others = series[key] ?? 0;
      series[key] = family.merge === "max" ? Math.max(others, value) : others + value;
    }
  }
  return merged;
}

/** The text format of Prometheus, version 0.0.4. */
export function metricsText(snapshot: MetricsSnapshot): string {
  let text = "";
  for (const [name, { type, help, series }] of Object.entries(snapshot)) {
    text += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
    for (const [key, value] of Object.entries(series)) text += `${name}${key} ${value}\n`;
  }
  return text;
}

/** The value of a label, in its quotes. */
export function label(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
}
