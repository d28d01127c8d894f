import { Modal } from "antd";
import { useText } from "../text";

export function KeyHelp({ open, close }: { open: boolean; close: () => void }) {
  const { keys } = useText();
  const rows: [string[], string][] = [
    [["j", "↓"], keys.next],
    [["k", "↑"], keys.previous],
    [["Enter"], keys.open],
    [["p"], keys.play],
    [["a"], keys.acknowledge],
    [["t"], keys.contacts],
    [["s"], keys.spoken],
    [["h"], keys.handOver],
    [["c"], keys.close],
    [["Esc"], keys.back],
    [["?"], keys.help],
  ];
  return (
    <Modal open={open} onCancel={close} footer={null} title={keys.title}>
      <table>
        <tbody>
          {rows.map(([pressed, does]) => (
            <tr key={does}>
              <th scope="row" translate="no" style={{ textAlign: "left", padding: "4px 24px 4px 0" }}>
                {pressed.map((key) => (
                  <kbd key={key} style={{ marginRight: 6 }}>
                    {key}
                  </kbd>
                ))}
              </th>
              <td>{does}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Modal>
  );
}
