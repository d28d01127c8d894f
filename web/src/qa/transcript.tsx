import type { ReactNode } from "react";
import type { Call, Turn } from "../api/client";

/** When a nurse had the patient, on the recording's clock. */
interface Takeover {
  kind: "taken_over";
  by: string;
  from_ms: number;
  to_ms: number;
}

function takeovers(call: Call): Takeover[] {
  const notes = call.notes as unknown as { kind: string }[];
  return notes.filter((note): note is Takeover => note.kind === "taken_over");
}

import { useText } from "../text";

/** `1:05` on the recording's clock. */
export function clock(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** Where a turn ends on the recording's clock. */
export function endOf(turn: Turn): number {
  return Math.max(turn.prompt_to_ms, turn.reply?.to_ms ?? 0);
}

/** Characters of a reply, `to` not included: as the server counts, a pair of surrogates is one. */
export interface Span {
  from: number;
  to: number;
}

interface Listening {
  /** The moment that is played. */
  at: number;
  seek: (ms: number) => void;
  /** Takes the word at which something was missed; left out, words are plain. */
  miss?: ((turn: Turn, at: Span) => void) | undefined;
}

interface Part {
  from: number;
  turn?: Turn;
  takeover?: Takeover;
}

/** Turns of the robot, and where a person spoke instead. */
function inOrder(call: Call): Part[] {
  const turns = call.turns.map((turn) => ({ from: turn.prompt_from_ms, turn }));
  const persons = takeovers(call).map((takeover) => ({ from: takeover.from_ms, takeover }));
  return [...turns, ...persons].sort((one, other) => one.from - other.from);
}

/** Who said what, turn by turn; who listens goes to a turn by a click and sees how long the robot took. */
export function Transcript({ call, listening }: { call: Call; listening?: Listening }) {
  const text = useText();
  const there = call.findings.filter((finding) => finding.polarity !== "absent");
  return (
    <ol className="turns">
      {inOrder(call).map(({ turn, takeover }) => {
        if (takeover) {
          return (
            <li key={`taken-${takeover.from_ms}`} data-taken-over={takeover.by}>
              <p>
                <Time ms={takeover.from_ms} seek={listening?.seek} /> {text.order.personSpoke(takeover.by, clock(takeover.to_ms))}
              </p>
            </li>
          );
        }
        if (!turn) return null;
        const here = there.filter((finding) => finding.turn === turn.index);
        const isAt = listening !== undefined && listening.at >= turn.prompt_from_ms && listening.at < endOf(turn) + 500;
        const latency = turn.reply?.latency_ms;
        const classes = [isAt && "at", here.length > 0 && "found", listening && "plays"].filter(Boolean).join(" ");
        return (
          <li
            key={turn.index}
            className={classes}
            aria-current={isAt || undefined}
            data-turn={turn.index}
            onClick={(event) => event.target instanceof Element && !event.target.closest("button") && listening?.seek(turn.prompt_from_ms)}
          >
            <p className="quiet">
              <Time ms={turn.prompt_from_ms} seek={listening?.seek} /> {text.order.robot}: <span translate="no">{turn.prompt}</span>
            </p>
            <p>
              {turn.reply && <Time ms={turn.reply.from_ms} seek={listening?.seek} />}{" "}
              {turn.reply ? (
                <strong translate="no" lang={call.attempt.lang}>
                  {turn.reply.text ? <Said turn={turn} call={call} miss={listening?.miss} /> : text.order.byKeys(turn.reply.keys)}
                </strong>
              ) : (
                turn.kind && <span className="quiet">{text.order.noReply}</span>
              )}
              {listening && turn.reply && (
                <span className="quiet">
                  {" "}
                  {text.qa.meaning[turn.reply.meaning] && `· ${text.qa.meaning[turn.reply.meaning]} `}
                  {latency != null && `· ${text.qa.latency(latency)}`}
                </span>
              )}
            </p>
          </li>
        );
      })}
    </ol>
  );
}

/** A reply with what was found in it marked; or as words, each of which can be chosen. */
function Said({ turn, call, miss }: { turn: Turn; call: Call; miss: Listening["miss"] }) {
  const said = turn.reply?.text ?? "";
  if (miss) {
    return words(said, call.attempt.lang).map(({ text, from, to, isWord }) =>
      isWord ? (
        <button key={from} type="button" className="word" onClick={() => miss(turn, { from, to })}>
          {text}
        </button>
      ) : (
        text
      ),
    );
  }
  const spans = call.findings
    .filter((finding) => finding.turn === turn.index && finding.polarity !== "absent")
    .flatMap((finding) => {
      const { raw, span } = finding.evidence as { raw?: string; span?: [number, number] };
      return raw === said && span ? [{ from: span[0], to: span[1] }] : [];
    });
  return marked([...said], spans);
}

function marked(letters: string[], spans: Span[]): ReactNode {
  const isIn = (at: number) => spans.some(({ from, to }) => at >= from && at < to);
  const parts: { text: string; isIn: boolean }[] = [];
  letters.forEach((letter, at) => {
    const last = parts[parts.length - 1];
    if (last && last.isIn === isIn(at)) last.text += letter;
    else parts.push({ text: letter, isIn: isIn(at) });
  });
  return parts.map((part, nth) => (part.isIn ? <mark key={nth}>{part.text}</mark> : part.text));
}

/** The words of a text with their places. */
export function words(said: string, lang: string): (Span & { text: string; isWord: boolean })[] {
  let from = 0;
  return [...new Intl.Segmenter(lang, { granularity: "word" }).segment(said)].map(({ segment, isWordLike }) => {
    const to = from + [...segment].length;
    const found = { text: segment, from, to, isWord: isWordLike ?? false };
    from = to;
    return found;
  });
}

function Time({ ms, seek }: { ms: number; seek: ((ms: number) => void) | undefined }) {
  if (!seek) return <span className="figure">{clock(ms)}</span>;
  return (
    <button type="button" className="time figure" onClick={() => seek(ms)}>
      {clock(ms)}
    </button>
  );
}
