import { Tag } from "antd";
import type { Trend } from "../api/client";
import { useConcepts } from "../api/site";
import { useText, word } from "../text";
import { trendName } from "./orders";

/** UCUM codes as people write them. */
const UNIT: Record<string, string> = { Cel: "°C", "mm[Hg]": "mmHg", "{score}": "" };
const COLOUR: Record<string, string> = { worse: "red", better: "green", same: "default", unknown: "default" };

export function TrendLines({ trends }: { trends: Trend[] }) {
  const text = useText();
  const concept = useConcepts();
  return (
    <section>
      <h2>{text.order.trends}</h2>
      <table>
        <tbody>
          {trends.map((trend) => (
            <tr key={`${trend.kind} ${trend.line}`}>
              <th scope="row" style={{ textAlign: "left", fontWeight: "normal", paddingRight: 16 }}>
                {trendName(trend, text, concept)} {trend.unit && <span translate="no">{UNIT[trend.unit] ?? trend.unit}</span>}
              </th>
              <td style={{ paddingRight: 16 }}>
                <Tag color={COLOUR[trend.direction] ?? "default"}>{word(text.direction, trend.direction)}</Tag>
              </td>
              <td>
                <Line trend={trend} />
              </td>
              <td className="figure">
                {trend.points.map((point) => `${text.day(point.day)} ${point.value ?? word(text.polarity, point.answer)}`).join(" → ")}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** Readings as a line as high as the text. */
function Line({ trend }: { trend: Trend }) {
  const values = trend.points.flatMap((point) => (point.value == null ? [] : [{ day: point.day, value: point.value }]));
  if (values.length < 2) return null;
  const [low, high] = [Math.min(...values.map(({ value }) => value)), Math.max(...values.map(({ value }) => value))];
  const [first, last] = [values[0]!.day, values[values.length - 1]!.day];
  const points = values.map(({ day, value }) => {
    const x = 3 + (74 * (day - first)) / Math.max(1, last - first);
    const y = 21 - (18 * (value - low)) / Math.max(1e-9, high - low);
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  });
  return (
    <svg width="80" height="24" aria-hidden="true" style={{ marginRight: 12 }}>
      <polyline points={points.join(" ")} fill="none" stroke="#0958d9" strokeWidth="2" />
    </svg>
  );
}
