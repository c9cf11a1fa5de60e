import { expect, it } from "vitest";
import { replaceBetween } from "../../bench/document.js";

it("replaces the generated part of a document, and nothing else", () => {
  const text = "# Head\n\n<!-- a -->\nold\n<!-- b -->\n\ntail\n";
  expect(replaceBetween(text, "<!-- a -->", "<!-- b -->", "new")).toBe(
    "# Head\n\n<!-- a -->\n\nnew\n\n<!-- b -->\n\ntail\n",
  );
  expect(() => replaceBetween("nothing", "<!-- a -->", "<!-- b -->", "new")).toThrow("must have the lines");
});
