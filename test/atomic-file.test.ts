import {
  chmod,
  type FileHandle,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { checkWritable, writeFileAtomic } from "../src/atomic-file.js";
import { IfmError } from "../src/errors.js";

const NOBODY = 65534;
const both = [
  ["writeFileAtomic", (path: string) => writeFileAtomic(path, "new")],
  ["checkWritable", checkWritable],
] as const;

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ifm-atomic-"));
});

afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true, force: true });
});

async function failure(action: Promise<void>): Promise<IfmError> {
  const error = await action.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(IfmError);
  expect(error).toMatchObject({ code: "IFM_USAGE", hint: expect.stringMatching(/[^.]$/) });
  return error as IfmError;
}

async function modeOf(path: string): Promise<number> {
  return (await stat(path)).mode & 0o777;
}

/** What every open file has in common, to make the disk fail. */
async function fileHandle(): Promise<FileHandle> {
  const handle = await open(folder, "r");
  await handle.close();
  return Object.getPrototypeOf(handle);
}

/** Permissions do not bind root, so as root another user acts. */
async function unprivileged<T>(action: () => Promise<T>): Promise<T> {
  if (process.geteuid?.() !== 0) return action();
  process.seteuid?.(NOBODY);
  try {
    return await action();
  } finally {
    process.seteuid?.(0);
  }
}

describe("writeFileAtomic", () => {
  test("writes bytes and text, and nothing beside them", async () => {
    const bytes = Uint8Array.from({ length: 3_000_000 }, (_, i) => i * 7);
    await writeFileAtomic(join(folder, "bytes"), bytes);
    await writeFileAtomic(join(folder, "text"), "ŷ = 1\n");
    await writeFileAtomic(join(folder, "empty"), "");
    expect(Buffer.compare(await readFile(join(folder, "bytes")), bytes)).toBe(0);
    expect(await readFile(join(folder, "text"), "utf8")).toBe("ŷ = 1\n");
    expect(await readFile(join(folder, "empty"), "utf8")).toBe("");
    expect((await readdir(folder)).sort()).toEqual(["bytes", "empty", "text"]);
  });

  test("replaces the content whole: a reader of the old file still reads the old", async () => {
    const path = join(folder, "model");
    await writeFile(path, "a long old content");
    const reader = await open(path, "r");
    await writeFileAtomic(path, "new");
    expect(await readFile(path, "utf8")).toBe("new");
    expect(await reader.readFile("utf8")).toBe("a long old content");
    await reader.close();
    expect(await readdir(folder)).toEqual(["model"]);
  });

  test("a new file gets the mode that the umask leaves, an old one keeps its own", async () => {
    const umask = process.umask(0o027);
    try {
      await writeFileAtomic(join(folder, "new"), "x");
      expect(await modeOf(join(folder, "new"))).toBe(0o640);
      for (const mode of [0o600, 0o666, 0o755]) {
        const path = join(folder, `old${mode}`);
        await writeFile(path, "old");
        await chmod(path, mode);
        await writeFileAtomic(path, "new");
        expect(await modeOf(path)).toBe(mode);
      }
    } finally {
      process.umask(umask);
    }
  });

  test("a name as long as names can be", async () => {
    const path = join(folder, "m".repeat(255));
    await checkWritable(path);
    await writeFileAtomic(path, "new");
    expect(await readFile(path, "utf8")).toBe("new");
    expect((await failure(checkWritable(`${path}m`))).message).toContain("ENAMETOOLONG");
  });

  test("a relative path", async () => {
    const path = relative(process.cwd(), join(folder, "model"));
    await checkWritable(path);
    await writeFileAtomic(path, "new");
    expect(await readFile(join(folder, "model"), "utf8")).toBe("new");
  });

  test("follows links, also through others and to a file that is not there yet", async () => {
    await mkdir(join(folder, "store"));
    await mkdir(join(folder, "links"));
    await writeFile(join(folder, "store", "v1"), "old");
    await symlink("../store/v1", join(folder, "links", "current"));
    await symlink(join("links", "current"), join(folder, "model"));
    await symlink("store/v2", join(folder, "next"));

    await writeFileAtomic(join(folder, "model"), "new");
    await checkWritable(join(folder, "next"));
    await writeFileAtomic(join(folder, "next"), "next");

    expect(await readFile(join(folder, "store", "v1"), "utf8")).toBe("new");
    expect(await readFile(join(folder, "store", "v2"), "utf8")).toBe("next");
    for (const link of ["model", "next", "links/current"]) {
      expect((await lstat(join(folder, link))).isSymbolicLink()).toBe(true);
    }
    expect(await readdir(join(folder, "store"))).toEqual(["v1", "v2"]);
    expect(await readdir(join(folder, "links"))).toEqual(["current"]);
  });

  test("a relative link in a linked folder starts from the folder's real place", async () => {
    await mkdir(join(folder, "a", "b"), { recursive: true });
    await symlink(join("a", "b"), join(folder, "short"));
    await symlink("../model", join(folder, "a", "b", "link"));
    await writeFileAtomic(join(folder, "short", "link"), "new");
    expect(await readFile(join(folder, "a", "model"), "utf8")).toBe("new");
  });

  test("writes to a device without replacing it", async () => {
    await checkWritable("/dev/null");
    await writeFileAtomic("/dev/null", "new");
    expect((await stat("/dev/null")).isCharacterDevice()).toBe(true);
  });

  test.runIf(process.platform === "linux")("a full disk is reported", async () => {
    expect((await failure(writeFileAtomic("/dev/full", "new"))).message).toBe(
      "/dev/full: cannot be written: the disk is full",
    );
    expect((await stat("/dev/full")).isCharacterDevice()).toBe(true);
  });

  test("writers at once leave one whole file", async () => {
    const path = join(folder, "model");
    const contents = Array.from({ length: 8 }, (_, i) => new Uint8Array(1_000_000 + i).fill(i));
    await Promise.all(contents.map((content) => writeFileAtomic(path, content)));
    const left = await readFile(path);
    expect(contents.some((content) => Buffer.compare(left, content) === 0)).toBe(true);
    expect(await readdir(folder)).toEqual(["model"]);
  });

  describe.each([
    ["writeFile", "ENOSPC", "the disk is full"],
    ["writeFile", "EDQUOT", "the disk quota is used up"],
    ["sync", "EIO", "the disk reports an error"],
    ["close", "ENOSPC", "the disk is full"],
    ["stat", "EOTHER", "something new"],
  ] as const)("%s fails with %s", (method, code, problem) => {
    test.each([
      ["", undefined],
      ["; the file that was there is intact", "old"],
    ])('and the message ends in "%s"', async (state, old) => {
      const path = join(folder, "model");
      if (old !== undefined) await writeFile(path, old);
      // A new file has no mode to keep, so its own is not looked at.
      if (old === undefined && method === "stat") return;
      const proto = await fileHandle();
      const problemOnDisk = Object.assign(new Error("something new"), { code });
      vi.spyOn(proto, method === "close" ? "sync" : method).mockImplementationOnce(async function (this: FileHandle) {
        if (method !== "close") throw problemOnDisk;
        // Each handle has its own `close`.
        const close = this.close;
        this.close = async () => {
          await close.call(this);
          throw problemOnDisk;
        };
      });
      const error = await failure(writeFileAtomic(path, "new"));
      expect(error.message).toBe(`${path}: cannot be written: ${problem}${state}`);
      expect(error.cause).toMatchObject({ code });
      expect(await readdir(folder)).toEqual(old === undefined ? [] : ["model"]);
      if (old !== undefined) expect(await readFile(path, "utf8")).toBe(old);
    });
  });

  test("no temporary file is left when the rename fails", async () => {
    const path = join(folder, "model");
    const proto = await fileHandle();
    vi.spyOn(proto, "sync").mockImplementationOnce(() => mkdir(join(path, "in the way"), { recursive: true }).then());
    await failure(writeFileAtomic(path, "new"));
    expect(await readdir(folder)).toEqual(["model"]);
    expect(await readdir(path)).toEqual(["in the way"]);
  });

  test("a folder that cannot be synced is no failure, a disk error there is", async () => {
    const path = join(folder, "model");
    const proto = await fileHandle();
    const sync = proto.sync;
    for (const code of ["EINVAL", "EIO"]) {
      let calls = 0;
      vi.spyOn(proto, "sync").mockImplementation(async function (this: FileHandle) {
        if (++calls === 2) throw Object.assign(new Error(code), { code });
        await sync.call(this);
      });
      const writing = writeFileAtomic(path, code);
      if (code === "EINVAL") await writing;
      else expect((await failure(writing)).message).toContain("the new file is in place");
      expect(calls).toBe(2);
      expect(await readFile(path, "utf8")).toBe(code);
    }
  });
});

test("checkWritable leaves nothing behind and the old file alone", async () => {
  const path = join(folder, "model");
  await checkWritable(path);
  expect(await readdir(folder)).toEqual([]);
  await writeFile(path, "old");
  await checkWritable(path);
  expect(await readFile(path, "utf8")).toBe("old");
  expect(await readdir(folder)).toEqual(["model"]);
});

describe.each(both)("%s refuses", (_, run) => {
  test("a missing folder", async () => {
    const path = join(folder, "missing", "model");
    const error = await failure(run(path));
    expect(error.file).toBe(path);
    expect(error.message).toBe(`${path}: cannot be written: there is no folder "${join(folder, "missing")}"`);
    expect(error.hint).toContain("create the folder");
    expect(await readdir(folder)).toEqual([]);
  });

  test("a link into a missing folder, naming that folder", async () => {
    const path = join(folder, "link");
    await symlink("missing/model", path);
    expect((await failure(run(path))).message).toContain(`no folder "${folder}/missing"`);
  });

  test("a file in the place of the folder", async () => {
    await writeFile(join(folder, "file"), "");
    expect((await failure(run(join(folder, "file", "model")))).message).toContain(
      `"${join(folder, "file")}" is not a folder`,
    );
  });

  test("a folder, by its name, a slash or a link", async () => {
    await mkdir(join(folder, "models"));
    await symlink("models", join(folder, "link"));
    for (const name of ["models", "link"]) {
      expect((await failure(run(join(folder, name)))).message).toContain("expected a file, found a folder");
    }
    expect((await failure(run(`${folder}/models/`))).message).toContain("expected a file name");
    expect((await failure(run(""))).message).toContain("expected a file name");
    expect(await readdir(join(folder, "models"))).toEqual([]);
  });

  test("a loop of links and a name that no file can have", async () => {
    await symlink("b", join(folder, "a"));
    await symlink("a", join(folder, "b"));
    expect((await failure(run(join(folder, "a")))).message).toContain("ELOOP");
    await failure(run(join(folder, "a\0b")));
  });

  test.skipIf(process.platform === "win32")("what permissions forbid: a folder, a file, a way", async () => {
    const path = join(folder, "model");
    await writeFile(path, "old");
    await chmod(path, 0o444);
    for (const [mode, name] of [
      [0o555, "new"],
      [0o777, "model"],
      [0o666, "model"],
    ] as const) {
      await chmod(folder, mode);
      const error = await unprivileged(() => failure(run(join(folder, name))));
      expect(error.message).toBe(`${join(folder, name)}: cannot be written: permission denied`);
    }
    await chmod(folder, 0o777);
    expect(await readFile(path, "utf8")).toBe("old");
    expect(await readdir(folder)).toEqual(["model"]);
  });
});
