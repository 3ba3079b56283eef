/** Two hundred thousand large translucent circles from a few hundred bytes: minutes of work for any renderer. */
export function slowSvg(color = 'black'): Buffer {
  const levels = Array.from({ length: 5 }, (_, i) => `<g id="u${i + 1}">${`<use href="#u${i}"/>`.repeat(10)}</g>`);
  const shape = `<circle id="u0" cx="1024" cy="1024" r="1000" opacity="0.5" fill="${color}"/>`;
  const body = `<defs>${shape}${levels.join('')}</defs><use href="#u5"/><use href="#u5"/>`;
  return Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" width="2048" height="2048">${body}</svg>`);
}
