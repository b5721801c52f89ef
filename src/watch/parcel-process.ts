import { serveParcel } from './parcel-watcher.js';

/** The process of `ParcelWatcher`: see `serveParcel`. Its argument is the root. */
const [, , root] = process.argv;
if (root !== undefined && process.send !== undefined) void serveParcel(root, process);
