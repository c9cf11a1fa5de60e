declare module "asciichart" {
  /** How a chart looks. */
  export interface PlotConfig {
    /** Lines of text. */
    height?: number;
    /** Text of a value on the axis. */
    format?: (value: number) => string;
    /** Escape sequence of each series. */
    colors?: string[];
  }

  const asciichart: {
    plot(series: number[] | number[][], config?: PlotConfig): string;
    cyan: string;
    green: string;
  };
  export default asciichart;
}
