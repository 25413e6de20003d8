// The specification of server-sent events, written down once more, slowly and on whole inputs.
//
// After <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>. It shares no
// line with stream.js, so that both can only agree by being right. Bytes are texts of one character per byte.

export const BOM = '\xef\xbb\xbf';

export const withoutBom = (input) => (input.startsWith(BOM) ? input.slice(BOM.length) : input);

/** Every line that has ended: `{ text, end }`, its line end included in `end`. */
function lines(input) {
  return [...input.matchAll(/([^\r\n]*)(?:\r\n|\r|\n)/g)].map((line) => ({
    text: line[1],
    end: line.index + line[0].length,
  }));
}

/** The places at which an event ends: after each blank line. */
export function ends(input) {
  return lines(input).filter((line) => line.text === '').map((line) => line.end);
}

/** The last place at which an event ends, or 0. */
export const lastEnd = (input) => ends(input).at(-1) ?? 0;

/**
 * The events that a reader dispatches. `names` are the fields that mean `data` and `event`: with names of one
 * letter, all short streams can be tried.
 */
export function events(input, names = { data: 'data', event: 'event' }) {
  const dispatched = [];
  let data = null;
  let type = '';
  for (const { text } of lines(withoutBom(input))) {
    if (text === '') {
      if (data !== null) dispatched.push(`${type || 'message'}|${data.join('\n')}`);
      data = null;
      type = '';
      continue;
    }
    const [, field, value = ''] = /^([^:]*)(?:: ?([^]*))?$/.exec(text);
    if (field === names.data) (data ??= []).push(value);
    else if (field === names.event) type = value;
  }
  return dispatched;
}
