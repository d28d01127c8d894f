import type { Patient } from "../api/client";
import { useSite } from "../api/site";
import { useText, word } from "../text";

/** Whom to telephone: the patient, who may speak for her, and the ambulance. */
export function ContactList({ patient }: { patient: Patient }) {
  const text = useText();
  const site = useSite();
  const usual = patient.lang === "zh" ? "120" : "911";
  return (
    <section aria-label={text.order.contacts}>
      <table>
        <tbody>
          <Line who={patient.name} what={text.order.own} phone={patient.phone} />
          {patient.contacts.map((contact, place) => (
            <Line
              key={place}
              who={contact.name}
              what={`${word(text.relation, contact.relation)} · ${text.order.mayKnow(contact.topics.map((topic) => word(text.topic, topic)).join(", ") || text.none)}`}
              phone={contact.phone}
            />
          ))}
        </tbody>
      </table>
      <p className="quiet" style={{ marginBottom: 0 }}>
        {text.order.ambulance(site?.emergency_number ?? usual)}
      </p>
    </section>
  );
}

function Line({ who, what, phone }: { who: string; what: string; phone: string | null | undefined }) {
  const text = useText();
  return (
    <tr>
      <td translate="no" style={{ paddingRight: 16 }}>
        {who}
      </td>
      <td className="quiet" style={{ paddingRight: 16 }}>
        {what}
      </td>
      <td className="figure">{phone ? <a translate="no" href={`tel:${phone}`}>{phone}</a> : text.order.noNumber}</td>
    </tr>
  );
}
