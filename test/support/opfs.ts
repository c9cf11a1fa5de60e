import { vi } from "vitest";

/*
 * The browser's own file system in memory: what src/opfs.ts uses of it, with its locks, and with tabs that are closed at any
 * step. In real browsers: test/runtimes.
 */

/** What a browser has of it. */
export interface Kind {
  /** Files can be renamed. */
  move: boolean;
  /** `createSyncAccessHandle`, as in workers. */
  sync: boolean;
}

interface FileNode {
  kind: "file";
  bytes: Uint8Array;
  lastModified: number;
  /** Somebody writes it. */
  locked: boolean;
}

interface FolderNode {
  kind: "directory";
  entries: Map<string, FileNode | FolderNode>;
}

const failure = (name: string) => new DOMException(name, name);

export class MemoryOpfs {
  readonly #kind: Kind;
  readonly #root: FolderNode = { kind: "directory", entries: new Map() };
  /** Changes so far. */
  steps = 0;
  /** At which of them the tab is closed; that one is done by half, if it has halves. */
  closesAt = Number.POSITIVE_INFINITY;
  /** Bytes that there is room for. */
  room = Number.POSITIVE_INFINITY;
  #now = 1_000_000;

  constructor(kind: Kind) {
    this.#kind = kind;
  }

  /** Lets `src/opfs.ts` find it. */
  install(): this {
    vi.stubGlobal("navigator", { storage: { getDirectory: async () => this.#folder(this.#root) } });
    return this;
  }

  /** Another tab: what was closed holds no locks any more. */
  reopen(): void {
    this.closesAt = Number.POSITIVE_INFINITY;
    const unlock = (node: FileNode | FolderNode): void => {
      if (node.kind === "file") node.locked = false;
      else node.entries.forEach(unlock);
    };
    unlock(this.#root);
  }

  /** Paths and contents of all files. */
  files(): Map<string, Uint8Array> {
    const found = new Map<string, Uint8Array>();
    const visit = (node: FileNode | FolderNode, path: string): void => {
      if (node.kind === "file") found.set(path, node.bytes);
      else for (const [name, inner] of node.entries) visit(inner, path === "" ? name : `${path}/${name}`);
    };
    visit(this.#root, "");
    return found;
  }

  /** Makes a file, or gives it another content. */
  put(path: string, bytes: Uint8Array, lastModified = this.#time()): void {
    const names = path.split("/");
    const name = names.pop()!;
    let folder = this.#root;
    for (const part of names) {
      const made: FolderNode = { kind: "directory", entries: new Map() };
      const inner = folder.entries.get(part) ?? made;
      folder.entries.set(part, inner);
      folder = inner as FolderNode;
    }
    folder.entries.set(name, { kind: "file", bytes, lastModified, locked: false });
  }

  #time(): number {
    this.#now += 1000;
    return this.#now;
  }

  /** A change: not done when the tab is closed, or by then. Returns whether it is done by half. */
  #step(): boolean {
    this.steps++;
    if (this.steps > this.closesAt) throw new Error("the tab is closed");
    return this.steps === this.closesAt;
  }

  #folder(node: FolderNode): object {
    const { entries } = node;
    const find = (name: string, kind: "file" | "directory", create: boolean): FileNode | FolderNode => {
      const found = entries.get(name);
      if (found && found.kind !== kind) throw failure("TypeMismatchError");
      if (found) return found;
      if (!create) throw failure("NotFoundError");
      if (this.#step()) throw new Error("the tab is closed");
      const made: FileNode | FolderNode =
        kind === "file"
          ? { kind, bytes: new Uint8Array(0), lastModified: this.#time(), locked: false }
          : { kind, entries: new Map() };
      entries.set(name, made);
      return made;
    };
    return {
      kind: "directory",
      entriesOf: entries,
      keys: async function* () {
        yield* [...entries.keys()];
      },
      getDirectoryHandle: async (name: string, { create = false } = {}) =>
        this.#folder(find(name, "directory", create) as FolderNode),
      getFileHandle: async (name: string, { create = false } = {}) =>
        this.#file(node, find(name, "file", create) as FileNode),
      removeEntry: async (name: string, { recursive = false } = {}) => {
        const found = entries.get(name);
        if (!found) throw failure("NotFoundError");
        if (found.kind === "file" && found.locked) throw failure("NoModificationAllowedError");
        if (found.kind === "directory" && found.entries.size > 0 && !recursive) {
          throw failure("InvalidModificationError");
        }
        if (this.#step()) throw new Error("the tab is closed");
        entries.delete(name);
      },
    };
  }

  #lock(file: FileNode): void {
    if (file.locked) throw failure("NoModificationAllowedError");
    file.locked = true;
  }

  /** What is there when so many bytes more are written. */
  #take(bytes: number): void {
    if (bytes > this.room) throw failure("QuotaExceededError");
    this.room -= bytes;
  }

  #file(folder: FolderNode, file: FileNode): object {
    const join = (a: Uint8Array, b: Uint8Array) => Uint8Array.from([...a, ...b]);
    const move = async (to: { entriesOf: FolderNode["entries"] }, name: string) => {
      if (file.locked) throw failure("NoModificationAllowedError");
      if (this.#step()) throw new Error("the tab is closed");
      for (const [old, node] of folder.entries) if (node === file) folder.entries.delete(old);
      to.entriesOf.set(name, file);
    };
    const createSyncAccessHandle = async () => {
      this.#lock(file);
      return {
        write: (bytes: Uint8Array, { at }: { at: number }) => {
          const half = this.#step();
          this.#take(bytes.length);
          const part = half ? bytes.subarray(0, bytes.length >> 1) : bytes;
          file.bytes = join(file.bytes.subarray(0, at), part);
          file.lastModified = this.#time();
          if (half) throw new Error("the tab is closed");
          return bytes.length;
        },
        flush: () => void this.#step(),
        close: () => {
          file.locked = false;
        },
      };
    };
    const createWritable = async () => {
      this.#lock(file);
      let copy = new Uint8Array(0);
      return {
        write: async (bytes: Uint8Array) => {
          this.#step();
          this.#take(bytes.length);
          copy = join(copy, bytes);
        },
        close: async () => {
          if (this.#step()) throw new Error("the tab is closed");
          file.bytes = copy;
          file.lastModified = this.#time();
          file.locked = false;
        },
        abort: async () => {
          file.locked = false;
        },
      };
    };
    return {
      kind: "file",
      getFile: async () => {
        const { lastModified } = file;
        return new File([file.bytes as Uint8Array<ArrayBuffer>], "a file", { lastModified });
      },
      ...(this.#kind.move ? { move } : {}),
      ...(this.#kind.sync ? { createSyncAccessHandle } : {}),
      createWritable,
    };
  }
}
