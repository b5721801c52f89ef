import type { PluginConfig } from '../config/config.js';
import { CommandPlugin } from './command.js';
import { HttpPlugin } from './http.js';
import type { Plugin } from './plugin.js';
import { RefreshCdnPlugin } from './refresh-cdn.js';
import { SocketPlugin } from './socket.js';

/** `launcher`: what starts a command; a program and its arguments, or nothing. */
export function createPlugin(config: PluginConfig, launcher: readonly string[]): Plugin {
  switch (config.name) {
    case 'command':
      return new CommandPlugin({ config, launcher });
    case 'socket':
      return new SocketPlugin(config);
    case 'http':
      return new HttpPlugin(config);
    case 'refreshCDN':
      return new RefreshCdnPlugin(config);
  }
}
