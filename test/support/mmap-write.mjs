/**
 * Writes text at the begin of a file through a shared mapping and closes it: no write(2), so the kernel tells of the close
 * alone. Node has no mmap of its own. Arguments: file, text, and the new length of the file in bytes (default: as it is).
 */
import { Buffer } from 'node:buffer';
import { closeSync, ftruncateSync, fstatSync, openSync } from 'node:fs';
import process from 'node:process';
import koffi from 'koffi';

const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;

const libc = koffi.load(null);
const mmap = libc.func('void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset)');
const memcpy = libc.func('void *memcpy(void *to, const uint8_t *from, size_t length)');
const munmap = libc.func('int munmap(void *address, size_t length)');

const [file, text, newLength] = process.argv.slice(2);
const bytes = Buffer.from(text);
const fd = openSync(file, newLength === undefined ? 'r+' : 'a+');
if (newLength !== undefined) ftruncateSync(fd, Number(newLength));
const length = fstatSync(fd).size;
if (bytes.length > length) throw new Error(`${file} has ${length} bytes, too few for ${bytes.length}`);
const mapping = mmap(null, length, PROT_READ_WRITE, MAP_SHARED, fd, 0);
memcpy(mapping, bytes, bytes.length);
munmap(mapping, length);
closeSync(fd);
