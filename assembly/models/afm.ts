import { Desc } from "../abi";
import { attendedBegin, attendedEnd, chunkFields } from "./attended";

/*
 * AFM is IFM whose pairs share F_p = q (models/ifm.ts).
 */

export function afmBegin(d: Desc): void {
  const laneBytes = <usize>d.Kp << 2;
  memory.copy(d.fieldPairs, d.prediction, laneBytes);
  memory.fill(d.fieldPairs + laneBytes, 0, laneBytes);
  attendedBegin(d);
}

export function afmEnd(d: Desc, chunk: usize): void {
  attendedEnd(d, chunk);
  memory.copy(d.prediction + (d.grad - d.dense), chunkFields(d, chunk), <usize>d.Kp << 2);
}
