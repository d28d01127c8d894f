//! Three edits of the Kokoro graph, without which `rten` cannot run it or speaks it wrongly. Weights stay as they are.
//!
//! 1. `FusedMatMul(transA = 1)`, which rten 0.27 lacks, becomes `Transpose` and `MatMul`.
//! 2. `Atan(im / re)`: 0/0 becomes 0 before it. Where ONNX Runtime's transform leaves rounding dust, rten's is exact.
//! 3. `Greater(im, 0)` of the same arc tangent becomes `GreaterOrEqual`: the phase of a real negative bin is +π.
//!
//! An ONNX file is a protocol buffer (onnx.proto3); only the fields named here are looked into, all others are copied
//! byte for byte. The result is checked by its hash like any other model.

/// `ModelProto.graph`; `GraphProto.node` and `.initializer`; of a `NodeProto` its parts.
const GRAPH: u64 = 7;
const NODE: u64 = 1;
const INITIALIZER: u64 = 5;
const INPUT: u64 = 1;
const OUTPUT: u64 = 2;
const NAME: u64 = 3;
const OP_TYPE: u64 = 4;
const ATTRIBUTE: u64 = 5;
/// Wire type of strings and messages (protobuf encoding guide).
const LENGTH_DELIMITED: u64 = 2;

/// The node whose comparison decides the phase of real negative bins.
const PHASE_SIGN: &str = "/decoder/decoder/generator/Greater_output_0";
const ZERO: &str = "aftercall_zero";

/// Why a graph was not edited.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    #[error("the model is no ONNX file, or is cut short")]
    Malformed,
    #[error("the model is not the one that the edits are for: {found} of {what}")]
    Unexpected { what: &'static str, found: usize },
}

/// A field as it stands in the file.
#[derive(Clone, Copy)]
struct Field<'a> {
    number: u64,
    /// With its tag.
    whole: &'a [u8],
    /// Of a length-delimited one.
    content: &'a [u8],
}

#[derive(Default)]
struct Done {
    products: usize,
    tangents: usize,
    signs: usize,
}

/// Rewrites a Kokoro model for rten.
///
/// # Errors
/// When it is no ONNX file, or not the one that the edits are for.
pub fn edit_kokoro(model: &[u8]) -> Result<Vec<u8>, GraphError> {
    let mut done = Done::default();
    let mut out = Vec::with_capacity(model.len() + 4096);
    for field in fields(model)? {
        if field.number == GRAPH {
            message(&mut out, GRAPH, &graph(field.content, &mut done)?);
        } else {
            out.extend_from_slice(field.whole);
        }
    }
    for (what, found) in [
        ("FusedMatMul", done.products.min(1)),
        ("Atan", done.tangents),
        ("Greater", done.signs),
    ] {
        if found != 1 {
            return Err(GraphError::Unexpected { what, found });
        }
    }
    Ok(out)
}

fn graph(graph: &[u8], done: &mut Done) -> Result<Vec<u8>, GraphError> {
    let mut out = Vec::with_capacity(graph.len() + 4096);
    for field in fields(graph)? {
        match field.number {
            NODE => node(field, done, &mut out)?,
            _ => out.extend_from_slice(field.whole),
        }
    }
    // TensorProto: data_type (2) = FLOAT (1), name (8), raw_data (9); no dims, so a scalar.
    let mut zero = vec![0x10, 0x01];
    message(&mut zero, 8, ZERO.as_bytes());
    message(&mut zero, 9, &0_f32.to_le_bytes());
    message(&mut out, INITIALIZER, &zero);
    Ok(out)
}

fn node(field: Field<'_>, done: &mut Done, out: &mut Vec<u8>) -> Result<(), GraphError> {
    let parts = fields(field.content)?;
    let texts = |number: u64| -> Vec<&str> {
        let of = parts.iter().filter(|part| part.number == number);
        of.filter_map(|part| std::str::from_utf8(part.content).ok())
            .collect()
    };
    let first = |number: u64| texts(number).first().copied().unwrap_or_default();
    match first(OP_TYPE) {
        "FusedMatMul" => {
            let (inputs, name) = (texts(INPUT), first(NAME));
            let [left, right] = inputs[..] else {
                return Err(GraphError::Malformed);
            };
            let turned = format!("{name}_turned");
            // AttributeProto: name (1), type (20) = INTS (7), ints (8).
            let mut order = Vec::new();
            message(&mut order, 1, b"perm");
            order.extend([0xa0, 0x01, 0x07]);
            order.extend([0x40, 0, 0x40, 2, 0x40, 1]);
            message(
                out,
                NODE,
                &made("Transpose", &turned, &[left], &[&turned], Some(&order)),
            );
            message(
                out,
                NODE,
                &made("MatMul", name, &[&turned, right], &texts(OUTPUT), None),
            );
            done.products += 1;
        }
        "Atan" => {
            let ratio = first(INPUT);
            let (is_nan, safe) = ("aftercall_is_nan", "aftercall_ratio");
            message(out, NODE, &made("IsNaN", is_nan, &[ratio], &[is_nan], None));
            message(
                out,
                NODE,
                &made("Where", safe, &[is_nan, ZERO, ratio], &[safe], None),
            );
            message(
                out,
                NODE,
                &made("Atan", first(NAME), &[safe], &texts(OUTPUT), None),
            );
            done.tangents += 1;
        }
        "Greater" if first(OUTPUT) == PHASE_SIGN => {
            let (inputs, outputs) = (texts(INPUT), texts(OUTPUT));
            message(
                out,
                NODE,
                &made("GreaterOrEqual", first(NAME), &inputs, &outputs, None),
            );
            done.signs += 1;
        }
        _ => out.extend_from_slice(field.whole),
    }
    Ok(())
}

fn made(
    op: &str,
    name: &str,
    inputs: &[&str],
    outputs: &[&str],
    attribute: Option<&[u8]>,
) -> Vec<u8> {
    let mut node = Vec::new();
    for input in inputs {
        message(&mut node, INPUT, input.as_bytes());
    }
    for output in outputs {
        message(&mut node, OUTPUT, output.as_bytes());
    }
    message(&mut node, NAME, name.as_bytes());
    message(&mut node, OP_TYPE, op.as_bytes());
    if let Some(attribute) = attribute {
        message(&mut node, ATTRIBUTE, attribute);
    }
    node
}

/// Appends a length-delimited field.
fn message(out: &mut Vec<u8>, number: u64, content: &[u8]) {
    put_varint(out, number << 3 | LENGTH_DELIMITED);
    put_varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn fields(bytes: &[u8]) -> Result<Vec<Field<'_>>, GraphError> {
    let (mut fields, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let begin = at;
        let tag = varint(bytes, &mut at)?;
        let mut content = at..at;
        match tag & 7 {
            0 => drop(varint(bytes, &mut at)?),
            1 => at += 8,
            LENGTH_DELIMITED => {
                let length = usize::try_from(varint(bytes, &mut at)?);
                let length = length.map_err(|_| GraphError::Malformed)?;
                let end = at.checked_add(length).ok_or(GraphError::Malformed)?;
                content = at..end;
                at = end;
            }
            5 => at += 4,
            _ => return Err(GraphError::Malformed),
        }
        let whole = bytes.get(begin..at).ok_or(GraphError::Malformed)?;
        fields.push(Field {
            number: tag >> 3,
            whole,
            content: bytes.get(content).ok_or(GraphError::Malformed)?,
        });
    }
    Ok(fields)
}

fn varint(bytes: &[u8], at: &mut usize) -> Result<u64, GraphError> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at).ok_or(GraphError::Malformed)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(GraphError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(nodes: &[Vec<u8>]) -> Vec<u8> {
        let mut graph = Vec::new();
        for node in nodes {
            message(&mut graph, NODE, node);
        }
        let mut model = vec![0x08, 0x08];
        message(&mut model, GRAPH, &graph);
        model
    }

    /// Operators with their inputs, in the order of the file.
    fn operators(model: &[u8]) -> Vec<String> {
        fn part(bytes: &[u8], number: u64) -> Vec<Field<'_>> {
            let all = fields(bytes).expect("our own message");
            all.into_iter().filter(|f| f.number == number).collect()
        }
        let text = |field: &Field<'_>| String::from_utf8_lossy(field.content).into_owned();
        let graph = part(model, GRAPH)[0].content;
        let describe = |node: &Field<'_>| {
            let inputs: Vec<String> = part(node.content, INPUT).iter().map(text).collect();
            let outputs: Vec<String> = part(node.content, OUTPUT).iter().map(text).collect();
            let op = text(&part(node.content, OP_TYPE)[0]);
            format!("{op}({}) = {}", inputs.join(" "), outputs.join(" "))
        };
        part(graph, NODE).iter().map(describe).collect()
    }

    #[test]
    fn only_the_three_operators_are_edited() {
        let before = model(&[
            made("Relu", "r", &["in"], &["x"], None),
            made("FusedMatMul", "m", &["x", "w"], &["y"], None),
            made("Atan", "a", &["y"], &["p"], None),
            made("Greater", "g", &["p", "z"], &[PHASE_SIGN], None),
            made("Greater", "other", &["p", "z"], &["q"], None),
        ]);
        let after = edit_kokoro(&before).expect("the operators are there");
        assert_eq!(
            operators(&after),
            [
                "Relu(in) = x".to_owned(),
                "Transpose(x) = m_turned".to_owned(),
                "MatMul(m_turned w) = y".to_owned(),
                "IsNaN(y) = aftercall_is_nan".to_owned(),
                "Where(aftercall_is_nan aftercall_zero y) = aftercall_ratio".to_owned(),
                "Atan(aftercall_ratio) = p".to_owned(),
                format!("GreaterOrEqual(p z) = {PHASE_SIGN}"),
                "Greater(p z) = q".to_owned(),
            ]
        );
        assert_eq!(after[..2], [0x08, 0x08], "other fields are copied");
    }

    #[test]
    fn another_model_and_a_cut_one_are_refused() {
        let other = model(&[made("Atan", "a", &["y"], &["p"], None)]);
        let refused = edit_kokoro(&other)
            .expect_err("no product in it")
            .to_string();
        assert!(refused.contains("0 of FusedMatMul"), "{refused}");
        let cut = &other[..other.len() - 3];
        assert_eq!(edit_kokoro(cut), Err(GraphError::Malformed));
        assert_eq!(edit_kokoro(b"\xff\xff"), Err(GraphError::Malformed));
    }
}
