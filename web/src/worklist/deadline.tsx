import { useNow } from "../api/events";
import { span, useText } from "../text";

/** How long until an order climbs, or since when it should have been taken. */
export function Deadline({ dueAt }: { dueAt: string }) {
  const text = useText();
  const left = Date.parse(dueAt) - useNow();
  return (
    <span className={`figure ${left < 0 ? "late" : ""}`} title={text.worklist.deadline}>
      {left < 0 ? text.over(span(left)) : text.left(span(left))}
    </span>
  );
}
