import type { Call, Turn } from "../api/client";
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

/** Who said what, turn by turn; `at` is the moment that is played. */
export function Transcript({ call, at, seek }: { call: Call; at?: number; seek?: (ms: number) => void }) {
  const text = useText();
  const found = new Set(call.findings.filter((finding) => finding.polarity !== "absent").map((finding) => finding.turn));
  return (
    <ol className="turns">
      {call.turns.map((turn) => {
        const isAt = at !== undefined && at >= turn.prompt_from_ms && at < endOf(turn) + 500;
        return (
          <li key={turn.index} className={`${isAt ? "at" : ""} ${found.has(turn.index) ? "found" : ""}`} aria-current={isAt || undefined}>
            <p className="quiet">
              <Time ms={turn.prompt_from_ms} seek={seek} /> {text.order.robot}: <span translate="no">{turn.prompt}</span>
            </p>
            <p>
              {turn.reply && <Time ms={turn.reply.from_ms} seek={seek} />}{" "}
              {turn.reply ? (
                <strong translate="no">{turn.reply.text || text.order.byKeys(turn.reply.keys)}</strong>
              ) : (
                turn.kind && <span className="quiet">{text.order.noReply}</span>
              )}
            </p>
          </li>
        );
      })}
    </ol>
  );
}

function Time({ ms, seek }: { ms: number; seek: ((ms: number) => void) | undefined }) {
  if (!seek) return <span className="figure">{clock(ms)}</span>;
  return (
    <button type="button" className="time figure" onClick={() => seek(ms)}>
      {clock(ms)}
    </button>
  );
}
