import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { Model } from "../../src/model/model.js";
import { decodeSafetensors, encodeSafetensors } from "../../src/model/safetensors.js";
import { configOf, modelOf } from "../support/session.js";
import { errorOf, toModel } from "../support/train.js";

const hashOf = (bytes: Uint8Array, kind = "sha256") => `${kind}-${createHash(kind).update(bytes).digest("base64")}`;

async function file(features = 40): Promise<Uint8Array> {
  using model = await toModel(modelOf(configOf({ model: "ifm", factors: 5, features }, 3), 1));
  return model.toBytes();
}

describe("the digest of the weights", () => {
  // Sizes around the blocks of 64 bytes and the 16 kB that are hashed at once.
  test.each([1, 2, 3, 40, 41, 42, 43, 44, 400, 681, 682, 683, 5000])(
    "is SHA-256 of their bytes, %i features",
    async (n) => {
      const { metadata, data } = decodeSafetensors(await file(n));
      expect(metadata.digest).toBe(hashOf(data));
    },
  );

  test("is checked: one bit of a weight makes the file another", async () => {
    const bytes = await file();
    bytes[bytes.length - 3]! ^= 1;
    const error = await errorOf(Model.load(bytes));
    expect(error.code).toBe("IFM_MODEL");
    expect(error.message).toMatch(/^weights: expected digest sha256-\S{44}, found sha256-\S{44}$/);
  });

  test("is checked where the runtime has no WebCrypto, too", async () => {
    const bytes = await file();
    const crypto = Object.getOwnPropertyDescriptor(globalThis, "crypto")!;
    Object.defineProperty(globalThis, "crypto", { value: undefined, configurable: true });
    try {
      (await Model.load(bytes)).dispose();
      bytes[bytes.length - 3]! ^= 1;
      expect((await errorOf(Model.load(bytes))).message).toMatch(/^weights: expected digest/);
      const error = await errorOf(Model.load(bytes, { integrity: hashOf(bytes) }));
      expect([error.code, error.message]).toEqual(["IFM_USAGE", "integrity: this runtime has no crypto.subtle"]);
    } finally {
      Object.defineProperty(globalThis, "crypto", crypto);
    }
  });

  test("may be missing, as in files of others", async () => {
    const { metadata, tensors } = decodeSafetensors(await file());
    const { digest: _, ...rest } = metadata;
    (await Model.load(encodeSafetensors([...tensors.values()], rest))).dispose();
  });
});

describe("integrity", () => {
  test.each(["sha256", "sha384", "sha512"])("%s of the file", async (kind) => {
    const bytes = await file();
    (await Model.load(bytes, { integrity: hashOf(bytes, kind) })).dispose();
    const other = hashOf(bytes.slice(1), kind);
    const error = await errorOf(Model.load(bytes, { integrity: other }));
    expect(error.code).toBe("IFM_MODEL");
    expect(error.message).toBe(`expected integrity ${other}, found ${hashOf(bytes, kind)}`);
  });

  test("of several hashes the strongest kind counts, and one of them must fit", async () => {
    const bytes = await file();
    const wrong = bytes.slice(1);
    const list = [hashOf(wrong), hashOf(wrong, "sha384"), hashOf(bytes, "sha384")];
    (await Model.load(bytes, { integrity: list.join(" ") })).dispose();
    const error = await errorOf(Model.load(bytes, { integrity: `${hashOf(bytes)} ${hashOf(wrong, "sha512")}` }));
    expect(error.code).toBe("IFM_MODEL");
  });

  test.each(["", "md5-abc", "sha256", "sha256-xyz"])('"%s" is no such text', async (integrity) => {
    expect((await errorOf(Model.load(await file(), { integrity }))).code).toBe("IFM_USAGE");
  });
});
