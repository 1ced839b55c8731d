//! What kernels execute.

use super::Kind;

/// Vector instructions by kind, about as many as the source of a kernel has; what the compiler does to them is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations {
    /// Activations brought from memory into all lanes.
    pub broadcasts: usize,
    /// Vectors of weights, scales and sums loaded.
    pub loads: usize,
    /// Vectors of codes, scales and sums stored.
    pub stores: usize,
    /// Products of weights and activations added up: dots of bytes in `int8`, in which the parts of a dot count each, fmas in `exact`.
    pub products: usize,
    /// f32 multiplied and added: what makes scales, ends a step and adds to sums.
    pub floats: usize,
    /// Dots and codes that become f32, and scales that become wider.
    pub converts: usize,
    /// What takes codes out of lines, and looks them up.
    pub integers: usize,
}

impl Operations {
    /// None of any kind.
    pub const NONE: Self = Self { broadcasts: 0, loads: 0, stores: 0, products: 0, floats: 0, converts: 0, integers: 0 };

    /// How many there are of a kind.
    #[must_use]
    pub const fn of(&self, kind: Kind) -> usize {
        match kind {
            Kind::Broadcasts => self.broadcasts,
            Kind::Loads => self.loads,
            Kind::Stores => self.stores,
            Kind::Products => self.products,
            Kind::Floats => self.floats,
            Kind::Converts => self.converts,
            Kind::Integers => self.integers,
        }
    }

    /// Vectors loaded or stored.
    #[must_use]
    pub const fn vectors(&self) -> usize {
        self.loads + self.stores
    }

    /// All arithmetic but products.
    #[must_use]
    pub const fn others(&self) -> usize {
        self.floats + self.converts + self.integers
    }
}

/// What a kernel executes, counted by the generator in the text of the kernel: what predictions of its time rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Weights of a row in a unit: [`super::Class::unit_weights`].
    pub weights: usize,
    /// Bytes of packed weights that a unit of a tile has: [`super::Class::unit_bytes`] for each panel.
    pub bytes: usize,
    /// Bytes of a tile that are asked for ahead of their use while one column group is multiplied by a segment; of a direct kernel
    /// that prefetches, the whole segment.
    pub ahead: usize,
    /// For each unit of each tile and column group.
    pub unit: Operations,
    /// For each unit of each tile once, whatever the columns: unpacking, in panel kernels.
    pub unpacking: Operations,
    /// For each segment of each tile and column group: adding the sums to the output.
    pub sums: Operations,
}
