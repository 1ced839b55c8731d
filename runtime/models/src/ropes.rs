//! How a model turns positions into angles, as its metadata say.

use quantloom::attention::{Pairs, Rope, Yarn};
use quantloom_spec::architecture;

use crate::error::Result;
use crate::metadata::Metadata;
use crate::settings::Settings;
use crate::tensors::Tensors;

/// The base of angles where a file does not say.
const BASE: f64 = 10_000.0;

/// How often pairs turn that are not stretched, and that are wholly, where a file does not say.
const FAST: f64 = 32.0;
const SLOW: f64 = 1.0;

/// How a model turns positions into angles.
#[derive(Clone, Debug)]
pub struct Ropes {
    /// In layers that see all positions.
    pub all: Rope,
    /// In layers that see a window, where it is another.
    pub window: Option<Rope>,
}

impl Ropes {
    /// # Errors
    /// [`crate::Error::Model`] if a number has no meaning, or the way to stretch the context is not known.
    pub fn read<W>(
        card: &architecture::Rope,
        settings: &Settings,
        metadata: &Metadata<'_>,
        tensors: &Tensors<'_, W>,
    ) -> Result<Self> {
        let size = settings.heads.size;
        let dims = metadata.count_if(&card.dims)?.unwrap_or(size);
        if dims > size || !dims.is_multiple_of(2) {
            let detail = format!("is {dims}, and must be even and at most {size}, the size of a head; convert the model again");
            return Err(metadata.wrong(&card.dims, &detail));
        }
        let pairs = match card.pairs {
            architecture::Pairs::Neighbours => Pairs::Neighbours,
            architecture::Pairs::Halves => Pairs::Halves,
        };
        let base = metadata.number_if(&card.base)?.unwrap_or(BASE);
        let plain = Rope::new(dims, base, pairs)?;
        let of_window = |card: &architecture::WindowBase| -> Result<Rope> {
            let base = metadata.number_if(&card.key)?.unwrap_or_else(|| card.default.into());
            Ok(Rope::new(dims, base, pairs)?)
        };
        let window = card.window.as_ref().map(of_window).transpose()?;
        let all = Scaling { card, metadata, settings }.stretched(plain, dims / 2, tensors)?;
        Ok(Self { all, window })
    }
}

/// What a file says of how its context was stretched.
struct Scaling<'a> {
    card: &'a architecture::Rope,
    metadata: &'a Metadata<'a>,
    settings: &'a Settings,
}

impl Scaling<'_> {
    fn key(&self, end: &str) -> String {
        format!("{}.{end}", self.card.scaling)
    }

    fn stretched<W>(&self, plain: Rope, pairs: usize, tensors: &Tensors<'_, W>) -> Result<Rope> {
        let metadata = self.metadata;
        if metadata.flag_if(&self.key("finetuned"))? == Some(false) {
            let detail = "is false, which to some architectures means no rotation; that is not known here";
            return Err(metadata.wrong(&self.key("finetuned"), detail));
        }
        let (kind, factor) = (metadata.text_if(&self.key("type"))?, metadata.number_if(&self.key("factor"))?);
        let factors = self.factors(pairs, tensors)?;
        let has_factors = factors.is_some();
        let rope = match factors {
            Some(factors) => plain.factors(&factors)?,
            None => plain,
        };
        let magnitude = metadata.number_if(&self.key("attn_factor"))?.unwrap_or(1.0);
        let factor = factor.filter(|factor| *factor != 1.0);
        match (kind, factor) {
            (Some("yarn"), factor) => self.yarn(rope, factor.unwrap_or(1.0), magnitude),
            (Some("longrope"), _) if !has_factors => {
                let detail = "is \"longrope\", and the file has no factors of angles; convert the model again";
                Err(metadata.wrong(&self.key("type"), detail))
            }
            (Some("none"), _) | (None | Some("linear" | "longrope"), None) => Ok(rope.magnitude(magnitude)),
            (None | Some("linear" | "longrope"), Some(_)) if has_factors => {
                let detail = "stretches a context that a tensor of factors stretches, too; convert the model again";
                Err(metadata.wrong(&self.card.scaling, detail))
            }
            (None | Some("linear"), Some(factor)) => Ok(rope.factors(&vec![factor as f32; pairs])?.magnitude(magnitude)),
            (Some(other), _) => {
                let detail = format!("is {other:?}, which is not known here; linear, yarn, longrope and none are");
                Err(metadata.wrong(&self.key("type"), &detail))
            }
        }
    }

    /// The factors of the tensor that a card names and the file has. Where there are some for contexts of different lengths, it has both.
    fn factors<W>(&self, pairs: usize, tensors: &Tensors<'_, W>) -> Result<Option<Vec<f32>>> {
        let of = |name: &String| -> Result<Vec<f32>> {
            let factors = tensors.vector(name, pairs)?;
            tensors.expect(name, &factors, "finite and above 0", |factor| factor.is_finite() && factor > 0.0)?;
            Ok(factors)
        };
        let by_length = [&self.card.factors_long, &self.card.factors_short].map(|name| name.as_ref());
        if let [Some(long), Some(short)] = by_length
            && (tensors.has(long) || tensors.has(short))
        {
            let [long, short] = [of(long)?, of(short)?];
            return Ok(Some(if self.settings.context > self.settings.original { long } else { short }));
        }
        self.card.factors.as_ref().filter(|name| tensors.has(name)).map(of).transpose()
    }

    fn yarn(&self, rope: Rope, factor: f64, magnitude: f64) -> Result<Rope> {
        let number = |end: &str| self.metadata.number_if(&self.key(end));
        if number("yarn_ext_factor")?.is_some_and(|share| share != 1.0) {
            return Err(self.metadata.wrong(&self.key("yarn_ext_factor"), "is not 1, which is not known here"));
        }
        let [fast, slow] = [number("yarn_beta_fast")?.unwrap_or(FAST), number("yarn_beta_slow")?.unwrap_or(SLOW)];
        let original = self.settings.original as f64;
        let grown = |by: f64| if factor > 1.0 { 0.1 * by * libm::log(factor) + 1.0 } else { 1.0 };
        let of_scores = number("yarn_log_multiplier")?.unwrap_or(0.0);
        Ok(rope.yarn(&Yarn { factor, original, fast, slow })?.magnitude(grown(1.0) / grown(of_scores) * magnitude))
    }
}
