//! CTranslate2's variables under the names, in the order and in the pieces of OpenAI's whisper checkpoint.

use std::ops::Range;

use crate::speech::models::ct2::{Ct2, Ct2Error, Number, Tensor};

/// A tensor of the file: some rows of a CTranslate2 variable under OpenAI's name.
pub struct Entry<'a> {
    pub name: String,
    pub shape: Vec<usize>,
    pub number: Number,
    pub bytes: &'a [u8],
}

/// Everything in the order of OpenAI's state dict.
///
/// # Errors
/// When a tensor is missing, too short or of integers.
pub fn entries<'a>(model: &Ct2<'a>) -> Result<Vec<Entry<'a>>, Ct2Error> {
    let mut list = Entries {
        model,
        list: Vec::new(),
    };
    list.plain(
        "encoder.positional_embedding",
        "encoder/position_encodings/encodings",
    )?;
    list.linear("encoder.conv1", "encoder/conv1")?;
    list.linear("encoder.conv2", "encoder/conv2")?;
    list.blocks("encoder", false)?;
    list.norm("encoder.ln_post", "encoder/layer_norm")?;
    list.plain(
        "decoder.positional_embedding",
        "decoder/position_encodings/encodings",
    )?;
    list.plain(
        "decoder.token_embedding.weight",
        "decoder/embeddings/weight",
    )?;
    list.blocks("decoder", true)?;
    list.norm("decoder.ln", "decoder/layer_norm")?;
    Ok(list.list)
}

struct Entries<'m, 'a> {
    model: &'m Ct2<'a>,
    list: Vec<Entry<'a>>,
}

impl<'a> Entries<'_, 'a> {
    fn rows(
        &mut self,
        name: String,
        source: &str,
        rows: Option<Range<usize>>,
    ) -> Result<(), Ct2Error> {
        let tensor: &Tensor = self.model.tensor(source)?;
        let rows = rows.unwrap_or(0..tensor.shape[0]);
        let short = || Ct2Error::Tensor {
            name: source.to_owned(),
            why: "too few rows",
        };
        let bytes = self.model.rows(tensor, &rows).ok_or_else(short)?;
        let mut shape = tensor.shape.clone();
        shape[0] = rows.len();
        self.list.push(Entry {
            name,
            shape,
            number: tensor.number,
            bytes,
        });
        Ok(())
    }

    fn plain(&mut self, name: &str, source: &str) -> Result<(), Ct2Error> {
        self.rows(name.to_owned(), source, None)
    }

    fn linear(&mut self, name: &str, source: &str) -> Result<(), Ct2Error> {
        self.plain(&format!("{name}.weight"), &format!("{source}/weight"))?;
        self.plain(&format!("{name}.bias"), &format!("{source}/bias"))
    }

    fn norm(&mut self, name: &str, source: &str) -> Result<(), Ct2Error> {
        self.plain(&format!("{name}.weight"), &format!("{source}/gamma"))?;
        self.plain(&format!("{name}.bias"), &format!("{source}/beta"))
    }

    /// CTranslate2 fuses query, key and value of self-attention into `linear_0`, key and value of
    /// cross-attention into `linear_1`.
    fn attention(&mut self, name: &str, source: &str, is_cross: bool) -> Result<(), Ct2Error> {
        let states = self
            .model
            .tensor(&format!("{source}/layer_norm/gamma"))?
            .shape[0];
        let third = |index: usize| index * states..(index + 1) * states;
        let (query, key, value, out) = if is_cross {
            ((0, 0), (1, 0), (1, 1), 2)
        } else {
            ((0, 0), (0, 1), (0, 2), 1)
        };
        for (part, (linear, index)) in [("query", query), ("key", key), ("value", value)] {
            let source = format!("{source}/linear_{linear}");
            self.rows(
                format!("{name}.{part}.weight"),
                &format!("{source}/weight"),
                Some(third(index)),
            )?;
            if part == "key" {
                self.no_bias(&format!("{source}/bias"), &third(index))?;
            } else {
                self.rows(
                    format!("{name}.{part}.bias"),
                    &format!("{source}/bias"),
                    Some(third(index)),
                )?;
            }
        }
        self.linear(&format!("{name}.out"), &format!("{source}/linear_{out}"))?;
        self.norm(&format!("{name}_ln"), &format!("{source}/layer_norm"))
    }

    /// Whisper's key projection has no bias; CTranslate2 fills in zeros.
    fn no_bias(&self, source: &str, rows: &Range<usize>) -> Result<(), Ct2Error> {
        let bytes = self.model.rows(self.model.tensor(source)?, rows);
        let is_zero = bytes.is_some_and(|bytes| bytes.iter().all(|&byte| byte == 0));
        let why = "the key projection has a bias, whisper's has none";
        if is_zero {
            Ok(())
        } else {
            Err(Ct2Error::Tensor {
                name: source.to_owned(),
                why,
            })
        }
    }

    fn blocks(&mut self, side: &str, has_cross: bool) -> Result<(), Ct2Error> {
        let prefix = format!("{side}/layer_");
        let layer = |name: &str| {
            name.strip_prefix(&prefix)?
                .split('/')
                .next()?
                .parse::<usize>()
                .ok()
        };
        let layers = self
            .model
            .names()
            .filter_map(layer)
            .max()
            .map_or(0, |last| last + 1);
        for index in 0..layers {
            let (name, source) = (
                format!("{side}.blocks.{index}"),
                format!("{side}/layer_{index}"),
            );
            self.attention(
                &format!("{name}.attn"),
                &format!("{source}/self_attention"),
                false,
            )?;
            if has_cross {
                self.attention(
                    &format!("{name}.cross_attn"),
                    &format!("{source}/attention"),
                    true,
                )?;
            }
            self.linear(&format!("{name}.mlp.0"), &format!("{source}/ffn/linear_0"))?;
            self.linear(&format!("{name}.mlp.2"), &format!("{source}/ffn/linear_1"))?;
            self.norm(
                &format!("{name}.mlp_ln"),
                &format!("{source}/ffn/layer_norm"),
            )?;
        }
        Ok(())
    }
}
