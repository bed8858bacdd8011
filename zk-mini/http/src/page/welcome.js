// The first visit: nothing is in the server yet, and three commands put something in.

import { copy } from './data-view.js';
import { askCreate } from './edit.js';
import { button, h } from './dom.js';
import { pathLink } from './route.js';
import { state } from './state.js';

/** True if a server has nothing but the system's nodes, and nobody has looked for anything. */
export function isEmptyServer() {
  return state.path === '/' && !state.at && state.isEmpty === true;
}

/** Host and port of the server, for a client's connect string. */
export const connectString = () => location.host;

function commands(server) {
  return [
    ['Python, kazoo', `python3 -c "
from kazoo.client import KazooClient
zk = KazooClient('${server}'); zk.start()
zk.create('/hello', b'world', ephemeral=True)
input('Look at the page. Then press Enter, and watch the session run out. ')"`],
    ['Shell', `zk-mini create /hello world --server ${server}`],
    ['Java, in jshell', `import org.apache.zookeeper.*;
var zk = new ZooKeeper("${server}", 10_000, event -> {});
zk.create("/hello", "world".getBytes(), ZooDefs.Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);`],
  ];
}

/** Builds what to say. `gone` is the path that was deleted last, if there is one. */
export function welcome(gone) {
  const server = connectString();
  return [
    h('h1', { class: 'plain' }, 'This server is empty'),
    h('p', { class: 'say' }, 'It speaks ZooKeeper’s protocol at ', h('code', {}, server),
      '. Put something in; it appears here at once, and so does the session that holds it.'),
    gone && h('p', { class: 'say' }, 'It was not always so: ', pathLink(gone), ' was deleted. Look there for who did it, and why.'),
    commands(server).map(([name, text]) => h('div', { class: 'command' },
      h('div', { class: 'bar' }, h('h2', {}, name), h('span', { class: 'grow' }),
        navigator.clipboard && button('Copy', (event) => copy(text, event.currentTarget), { class: 'quiet', 'aria-label': `Copy: ${name}` })),
      h('pre', { tabindex: '0', 'aria-label': name }, text))),
    h('div', { class: 'actions' }, button('Or create a node here', () => askCreate('/', 'hello'), { class: 'main' })),
  ];
}
