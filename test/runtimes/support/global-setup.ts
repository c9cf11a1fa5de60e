import type { TestProject } from "vitest/node";
import { install } from "../install.js";

declare module "vitest" {
  export interface ProvidedContext {
    /** What could not be installed, and why. */
    notInstalled: string[];
  }
}

/** Installs the runtimes once for all tests. */
export default async function setup(project: TestProject): Promise<void> {
  project.provide("notInstalled", await install());
}
