//! Blocks of separate tensors taken several at a time.

use crate::ir::{Affine, Decoder, Known, Loop, Node, Piece, Storage};

/// The decoder of `blocks` blocks as one, whose number counts them; `None` if blocks lie one after the other in rows.
#[must_use]
pub fn of_blocks(decoder: &Decoder, blocks: usize) -> Option<Decoder> {
    let (Storage::Tensors { known }, [piece]) = (&decoder.storage, &decoder.pieces[..]) else { return None };
    let block = known.iter().find(|digit| matches!(digit, Known::Block { .. }))?.name();
    let run = Loop { name: format!("{block}_of_run"), size: blocks, stride: decoder.weights };
    let mut ops = Vec::<Node>::new();
    for node in &piece.ops {
        let mut op = node.op.clone();
        let maps = op.maps();
        let depth = maps.into_iter().map(|map| widen(map, block, blocks)).max().unwrap_or(0);
        let depth = op.operands().into_iter().map(|operand| ops[operand].depth).fold(depth, usize::max);
        ops.push(Node { depth, op });
    }
    let loops = [run].into_iter().chain(piece.loops.iter().cloned()).collect();
    let pieces = vec![Piece { loops, ops, ..piece.clone() }];
    Some(Decoder { weights: blocks * decoder.weights, pieces, ..decoder.clone() })
}

/// Counts the digit `block` in steps of `blocks`, with an outermost loop within each; how many loops the map depends on.
fn widen(map: &mut Affine, block: &str, blocks: usize) -> usize {
    map.terms.iter_mut().for_each(|(index, _)| *index += 1);
    if let Some((_, stride)) = map.known.iter_mut().find(|(name, _)| name == block) {
        map.terms.insert(0, (0, *stride));
        *stride *= blocks as i64;
    }
    map.depth()
}
