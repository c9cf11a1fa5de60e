import { describe, expect, it } from "vitest";
import { authorsHelp, translateAuthors } from "../../src/cli/authors.js";

function translate(flags: string): string {
  return translateAuthors(["train", ...flags.split(" ").filter(Boolean)])
    .slice(1)
    .join(" ");
}

describe("the authors' flags", () => {
  it("run as their README gives them", () => {
    expect(
      translate(
        "--model fm --dataset ml-tag --epoch 100 --pretrain -1 --batch_size 4096 --hidden_factor 256 --lr 0.01 --keep 0.3",
      ),
    ).toBe(
      "--model fm --dataset ml-tag --epochs=100 --pretrain -1 --batch-size=4096 --factors=256 --lr 0.01 --keep 0.3",
    );
    expect(
      translate(
        "--model ifm --dataset ml-tag --epoch 100 --pretrain 1 --batch_size 4096 --hidden_factor [8,256] " +
          "--keep [1.0,0.9] --temp 10 --lr 0.1 --lamda_attention1 0.01",
      ),
    ).toBe(
      "--model ifm --dataset ml-tag --epochs=100 --pretrain 1 --batch-size=4096 --attention-factors=8 --factors=256 " +
        "--keep [1.0,0.9] --temperature=10 --lr 0.1 --l2-field=0.01",
    );
  });

  it.each([
    ["--epoch=3", "--epochs=3"],
    ["--hidden_factor=[8,256]", "--attention-factors=8 --factors=256"],
    ["--kf 16", "--field-factors=16"],
    ["--lamda 0.5", "--l2-embedding=0.5"],
    ["--lamda_bilinear 0.5", "--l2-embedding=0.5"],
    ["--lamda_attention 2.0", "--l2-attention=2.0"],
    ["--optimizer AdagradOptimizer", "--optimizer=adagrad"],
    ["--optimizer AdamOptimizer", "--optimizer=adam"],
    ["--optimizer GradientDescentOptimizer", "--optimizer=sgd"],
    ["--optimizer MomentumOptimizer", "--optimizer=momentum"],
    ["--optimizer ftrl", "--optimizer=ftrl"],
    ["--batch_norm 0", ""],
    ["--batch_norm 1", "--batch-norm"],
    ["--freeze_fm 0", ""],
    ["--freeze_fm 1", "--freeze=bias,feature_bias,feature_embeddings"],
    ["--valid_dimen 3", "--fields=0,1,2"],
    ["--valid_dim 2", "--fields=0,1"],
    ["--verbose 0", "--quiet"],
    ["--verbose 5", ""],
    ["--process train", ""],
    ["--attention 1", ""],
    ["--mla 0", ""],
    ["--activation tanh", "--activation tanh"],
    ["rows.libfm --lr 1 --no-shuffle", "rows.libfm --lr 1 --no-shuffle"],
    ["-- --epoch 3", "-- --epoch 3"],
  ])("%s means %s", (theirs, ours) => {
    expect(translate(theirs)).toBe(ours);
  });

  it.each([
    ["--epoch x", '--epoch: expected a whole number ≥ 0, got "x"'],
    ["--epoch", "--epoch: expected a value"],
    [
      "--hidden_factor [8,256,2]",
      '--hidden_factor: expected one or two whole numbers ≥ 1, separated by commas, got "[8,256,2]"',
    ],
    ["--lamda_attention -1", '--lamda_attention: expected a number ≥ 0, got "-1"'],
    ["--batch_norm yes", '--batch_norm: expected one of 0, 1, got "yes"'],
    ["--process evaluate", "--process evaluate: evaluation is a command of its own"],
    ["--attention 0", "--attention 0: a model without attention is an FM"],
    ["--mla 1", "--mla 1: micro-level analysis is not there"],
    ["--decay 0.99", "--decay 0.99: batch normalisation has a fixed decay of 0.9"],
  ])("%s is refused in their spelling", (theirs, message) => {
    expect(() => translate(theirs)).toThrow(expect.objectContaining({ code: "IFM_USAGE", message }));
  });

  it("say what to use instead when they are refused", () => {
    for (const flags of ["--process evaluate", "--attention 0", "--mla 1", "--decay 0.9"]) {
      expect(() => translate(flags)).toThrow(expect.objectContaining({ hint: expect.stringMatching(/use|leave/) }));
    }
  });

  it("are left alone in other commands", () => {
    const args = ["predict", "m", "f", "--epoch", "3"];
    expect(translateAuthors(args)).toEqual(args);
  });

  it("are all in the help, within 80 columns", () => {
    const lines = authorsHelp().split("\n");
    expect(lines.length).toBeGreaterThan(15);
    for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(80);
  });
});
