import { fetchFile } from "../fetch.js";
import type { Dataset } from "./dataset.js";
import type { LibfmOptions } from "./libfm.js";
import { readLibfm } from "./read.js";

/**
 * Fetches a libFM file, plain or gzipped.
 *
 * @param url it is the name of the data set unless `options.name` says otherwise
 * @throws {IfmError} as `readLibfm`; IFM_DATA when the file cannot be fetched
 */
export async function loadDataset(url: string | URL, options: LibfmOptions = {}): Promise<Dataset> {
  return readLibfm(await fetchFile(url, "IFM_DATA"), { name: String(url), ...options });
}
