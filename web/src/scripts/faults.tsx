// What the check finds, at its line.
import { Alert } from "antd";
import { useText, word } from "../text";
import type { ScriptFault } from "./script";

export function Faults({ faults, go }: { faults: ScriptFault[]; go?: (file: string, line: number) => void }) {
  const text = useText();
  if (faults.length === 0) return <Alert type="success" showIcon title={text.admin.scripts.sound} style={{ marginBottom: 8 }} />;
  return (
    <Alert
      type="error"
      showIcon
      style={{ marginBottom: 8 }}
      title={text.admin.scripts.faults(faults.length)}
      description={
        <ul className="faults">
          {faults.map((fault) => (
            <li key={`${fault.file}:${fault.line} ${fault.problem}`}>
              <button type="button" translate="no" onClick={() => go?.(fault.file, fault.line)}>
                {fault.file}:{fault.line}
              </button>{" "}
              {word(text.admin.rule, fault.rule)} <span translate="no">{fault.problem}</span>
            </li>
          ))}
        </ul>
      }
    />
  );
}
