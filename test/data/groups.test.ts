import { describe, expect, test } from "vitest";
import { Grouping, groupRows, slotsOfFields } from "../../src/data/groups.js";
import { readLibfm } from "../../src/data/read.js";
import { Random } from "../support/random.js";
import { configOf, datasetOf, rowsOf } from "../support/session.js";

const ROWS = "1 7:1 2:1\n0 3:1 2:1\n1 7:0.5 4:1\n0 3:-1 2:1 9:1\n";
const rows = await readLibfm(ROWS, { name: "rows.libfm" });

describe("groupRows", () => {
  test("numbers groups as they first occur; values do not matter, nor what else is in a row", () => {
    expect(groupRows(rows, [0])).toEqual({ count: 2, of: Uint32Array.of(0, 1, 0, 1) });
    expect(groupRows(rows, [1])).toEqual({ count: 2, of: Uint32Array.of(0, 0, 1, 0) });
    expect(groupRows(rows, [0, 1])).toEqual({ count: 3, of: Uint32Array.of(0, 1, 2, 1) });
  });

  test("by several slots: rows belong together when they have the same features in all of them", () => {
    const random = new Random(2019);
    for (let run = 0; run < 100; run++) {
      const config = configOf({ model: "ifm", features: 1 + random.int(6) }, 5);
      const some = rowsOf(config, 1 + random.int(50), run);
      const slots = random.permutation(5).slice(0, 1 + random.int(5));
      const names = some.map((row) => slots.map((slot) => row.slots[slot]!.feature).join());
      const distinct = [...new Set(names)];
      const expected = Uint32Array.from(names, (name) => distinct.indexOf(name));
      expect(groupRows(datasetOf(some), slots)).toEqual({ count: distinct.length, of: expected });
      expect(groupRows(datasetOf(some), slots.toReversed()).of).toEqual(expected);
    }
  });

  test("more groups than fit into half of a number", async () => {
    const lines = Array.from({ length: 140_000 }, (_, r) => `1 ${Math.floor(r / 2)}:1 ${r % 2}:1\n`);
    const { count, of } = groupRows(await readLibfm(lines.join("")), [0, 1]);
    expect([count, of.every((group, r) => group === r)]).toEqual([140_000, true]);
  });

  test("large ids are features like others", async () => {
    const large = await readLibfm("1 2147483647:1 0:1\n1 0:1 2147483647:1\n1 2147483647:1 0:1\n");
    expect(groupRows(large, [0, 1])).toEqual({ count: 2, of: Uint32Array.of(0, 1, 0) });
  });

  test("a row that is too short is named with its line", () => {
    expect(() => groupRows(rows, [0, 2])).toThrow(
      expect.objectContaining({
        code: "IFM_DATA",
        message: "rows.libfm:1: row 1 has 2 slots, expected at least 3 to group by",
      }),
    );
  });

  test("with its own number of slots, wherever it stands", async () => {
    const later = await readLibfm("1 1:1 2:1 3:1\n1 1:1 2:1\n", { name: "t" });
    expect(() => groupRows(later, [2])).toThrow("t:2: row 2 has 2 slots, expected at least 3 to group by");
  });

  test.each([[[]], [[-1]], [[0, 0.5]]])("refuses the slots %j", (slots) => {
    expect(() => groupRows(rows, slots)).toThrow(
      expect.objectContaining({
        code: "IFM_USAGE",
        message: `slots: expected whole numbers >= 0, at least one, got [${slots.join(", ")}]`,
      }),
    );
  });
});

describe("Grouping", () => {
  test("gives the same number to the same features in every data set", async () => {
    const grouping = new Grouping([0, 1]);
    expect(grouping.of(rows)).toEqual(Uint32Array.of(0, 1, 2, 1));
    expect(grouping.of(await readLibfm("1 7:1 4:1\n1 8:1 4:1\n1 3:1 2:1\n"))).toEqual(Uint32Array.of(2, 3, 1));
    expect(grouping.count).toBe(4);
  });
});

describe("slotsOfFields", () => {
  test("are the fields where fields are positions", () => {
    expect(slotsOfFields([2, 0], [])).toEqual([2, 0]);
    expect(slotsOfFields([2, 0], [0, 1, 2])).toEqual([2, 0]);
  });

  test("are all slots of a field that has several", () => {
    expect(slotsOfFields([3, 0], [0, 3, 0, 3, 5])).toEqual([1, 3, 0, 2]);
  });

  test("a field that no slot has is refused, in the words of the option", () => {
    const message = "groupBy: there is no field 4, expected some of 0, 3, 5";
    expect(() => slotsOfFields([0, 4], [0, 3, 0, 5])).toThrow(expect.objectContaining({ code: "IFM_USAGE", message }));
    expect(() => slotsOfFields([4], [0], "itemFields")).toThrow("itemFields: there is no field 4, expected some of 0");
  });
});
