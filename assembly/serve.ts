// What only prediction needs; see predict.ts. Pointers are bytes.
import { Desc } from "./abi";
import { gatherAt, linearTerms } from "./kernels/table";
import { topKeep, topSort } from "./kernels/top";
import { ExplainRequest, explainPairs as pairs, explainRow as row } from "./models/explain";
import { RankRequest, rankRows } from "./models/rank";
import { scoreBegin } from "./score";

/** Models of this module read tables of every format. */
// @ts-ignore: decorator
@global const SMALL_TABLES = true;

export { topKeep, topSort };

/** Scores of candidates, into d.yHat. */
export function rank(desc: usize, request: usize, scratch: usize): void {
  const d = changetype<Desc>(desc);
  scoreBegin(d);
  rankRows(d, changetype<RankRequest>(request), scratch);
}

export function explainRow(desc: usize, request: usize, scratch: usize): u32 {
  const d = changetype<Desc>(desc);
  scoreBegin(d);
  return row(d, changetype<ExplainRequest>(request), scratch);
}

export function explainPairs(desc: usize, request: usize, s: u32): void {
  pairs(changetype<Desc>(desc), changetype<ExplainRequest>(request), s);
}

/** One record of the table as numbers: v to the first slot of the scratch, w to f64[1]. */
export function decodeRecord(desc: usize, id: usize, scratch: usize, w: usize): void {
  const d = changetype<Desc>(desc);
  scoreBegin(d);
  gatherAt(scratch + d.sSlots, d, 0, id, 0, 1);
  linearTerms(w, d, id, 0, 1);
}
