//! Builds the matrices of `ai.altup`. Every linear operator is one matrix over the blocks of a token.

/// Maximum number of blocks in a representation.
pub const MAX_BLOCKS: usize = 16;
const MAX_ENTRIES: usize = (MAX_BLOCKS + 1) * (MAX_BLOCKS + 1);

/// A small matrix [rows, columns], row by row, on the stack.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    rows: usize,
    columns: usize,
    entries: [f32; MAX_ENTRIES],
}

/// What the next layer reads from a `CorrectPredict`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// The block as corrected by this layer (the paper's AltUp).
    Corrected,
    /// The block as predicted for the next layer (Gemma 3n).
    Predicted,
}

impl Matrix {
    pub fn zeros(rows: usize, columns: usize) -> Self {
        assert!(rows * columns <= MAX_ENTRIES, "matrix of {rows} by {columns} is too large");
        Self { rows, columns, entries: [0.0; MAX_ENTRIES] }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    pub fn entries(&self) -> &[f32] {
        &self.entries[..self.rows * self.columns]
    }

    pub fn row(&self, row: usize) -> &[f32] {
        &self.entries[row * self.columns..][..self.columns]
    }

    fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.entries[row * self.columns..][..self.columns]
    }

    /// A matrix with these weights as its only row.
    pub fn row_of(weights: &[f32]) -> Self {
        let mut matrix = Self::zeros(1, weights.len());
        matrix.row_mut(0).copy_from_slice(weights);
        matrix
    }

    /// x̂ⁱ = Σⱼ P[i,j]·xʲ, from `p` row by row.
    pub fn predict(blocks: usize, p: impl Fn(usize) -> f32) -> Self {
        let mut matrix = Self::zeros(blocks, blocks);
        for (index, entry) in matrix.entries[..blocks * blocks].iter_mut().enumerate() {
            *entry = p(index);
        }
        matrix
    }

    /// xⁱ = x̂ⁱ + G[i]·(y − x̂^active), over [X̂; Y].
    pub fn correct(blocks: usize, active: usize, g: impl Fn(usize) -> f32) -> Self {
        let mut matrix = Self::zeros(blocks, blocks + 1);
        for block in 0..blocks {
            let row = matrix.row_mut(block);
            row[block] = 1.0;
            row[active] -= g(block);
            row[blocks] = g(block);
        }
        matrix
    }

    /// `correct`, then the next layer's `predict` and the block it reads: [X̂'; S] over [X̂; Y].
    pub fn correct_predict(correct: &Self, next: usize, reads: Reads, p: impl Fn(usize) -> f32) -> Self {
        let blocks = correct.rows;
        let mut matrix = Self::zeros(blocks + 1, blocks + 1);
        for block in 0..blocks {
            let row = matrix.row_mut(block);
            for inner in 0..blocks {
                let weight = p(block * blocks + inner);
                for (entry, corrected) in row.iter_mut().zip(correct.row(inner)) {
                    *entry += weight * corrected;
                }
            }
        }
        let read = match reads {
            Reads::Corrected => correct.row(next).to_owned(),
            Reads::Predicted => matrix.row(next).to_owned(),
        };
        matrix.row_mut(blocks).copy_from_slice(&read);
        matrix
    }
}
