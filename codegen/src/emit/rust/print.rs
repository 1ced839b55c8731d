//! Kernels in neutral form as Rust: each statement and expression spelled.

use proc_macro2::{Literal, TokenStream};
use quantloom_spec::kernels::Prefetch;
use quote::{ToTokens, format_ident, quote};

use super::value;
use crate::kernel::ir::{Arithmetic, Base, Begin, Code, Expr, Index, Loop, Pattern, Place, Stmt};
use crate::kernel::ops::Constant;

/// Statements, one after the other.
pub fn code(code: &Code) -> TokenStream {
    code.iter().map(statement).collect()
}

/// The parameters of the words that prefetch: whether far, whether near.
fn parameters(lines: Prefetch) -> TokenStream {
    let (far, near) = (lines.is_far(), lines.is_near());
    quote!(#far, #near)
}

fn name(name: &str) -> TokenStream {
    format_ident!("{name}").into_token_stream()
}

fn statement(statement: &Stmt) -> TokenStream {
    match statement {
        Stmt::Let { name, changes, value } => {
            let (name, changes) = (self::name(name), changes.then(|| quote!(mut)));
            let value = value.as_ref().map(|value| {
                let value = expr(value);
                quote!(= #value)
            });
            quote!(let #changes #name #value;)
        }
        Stmt::LetTwo([one, other], values) => {
            let (one, other, [first, second]) = (name(one), name(other), values.each_ref().map(expr));
            quote!(let (#one, #other) = (#first, #second);)
        }
        Stmt::LetIndex(name, at) => {
            let (name, at) = (self::name(name), index(at));
            quote!(let #name = #at;)
        }
        Stmt::TakeApart(parts, of) => {
            let (parts, of) = (pattern(parts), expr(of));
            quote!(let #parts = #of;)
        }
        Stmt::Set(place, value) => {
            let (place, value) = (expr(place), expr(value));
            quote!(#place = #value;)
        }
        Stmt::Do(value) => {
            let value = expr(value);
            quote!(#value;)
        }
        Stmt::Block(code) => {
            let code = self::code(code);
            quote!({ #code })
        }
        Stmt::For(turns, code) => repeat(turns, &self::code(code)),
        Stmt::FirstPart(code) => {
            let code = self::code(code);
            quote!(if part == 0 { #code })
        }
        Stmt::Begin(of) => begin(*of),
        Stmt::Memory(name, count) => {
            let name = self::name(name);
            quote!(let mut #name = &mut [lanes::zero_f(); #count];)
        }
        Stmt::Keep(name) => {
            let name = self::name(name);
            quote!(#name = in_memory(#name);)
        }
        Stmt::Prefetch(lines, line) => {
            let line = expr(line);
            match lines {
                Prefetch::None => TokenStream::new(),
                Prefetch::Near => quote!(prefetch_near(#line, ahead);),
                Prefetch::Far => quote!(prefetch_far(#line, ahead);),
                Prefetch::Both => quote!(prefetch_both(#line, ahead);),
            }
        }
        Stmt::PrefetchHead { lines, vector, bytes, ahead } => {
            let (lines, unit) = (parameters(*lines), format_ident!("unit{vector}"));
            let ahead = if *ahead { quote!(ahead) } else { quote!(Ahead { far: 0, near: 0 }) };
            quote!(prefetch_head::<#lines>(bytemuck::bytes_of(#unit), #bytes, #ahead);)
        }
        Stmt::Meet | Stmt::LoadRows(..) | Stmt::Matrices { .. } => {
            unreachable!("processors multiply without the warps of {statement:?}")
        }
        Stmt::PrefetchTurn { lines, panel } => {
            let (lines, panel) = (parameters(*lines), format_ident!("panel{panel}"));
            quote!(prefetch_turn::<#lines>(bytemuck::cast_slice(&#panel[first..last]), ahead, group);)
        }
    }
}

fn repeat(turns: &Loop, body: &TokenStream) -> TokenStream {
    match turns {
        Loop::Turns(turn, 1) => {
            let turn = name(turn);
            quote!({ let #turn = 0; #body })
        }
        Loop::Turns(turn, count) => {
            let turn = name(turn);
            quote!(for #turn in 0..#count { #body })
        }
        Loop::Parts(count) => quote!(for part in 0..#count { #body }),
        Loop::Groups => quote!(for group in 0..group_count { #body }),
        Loop::Units => quote!(for unit in first..last { #body }),
    }
}

fn begin(of: Begin) -> TokenStream {
    match of {
        Begin::Group => quote! {
            let group_columns = &groups[group * units..][..units];
            let out = &mut outs[tile * group_count + group];
        },
        Begin::Columns => quote! {
            let columns = &group_columns[unit];
            touch(group_columns, unit, stride);
        },
        Begin::Staged => quote!(let (columns, stage) = (&group_columns[unit], &stages[unit - first]);),
        Begin::Unpacked => quote!(let stage = &mut stages[unit - first];),
        Begin::Unit { vector, panel } => {
            let (unit, panel) = (format_ident!("unit{vector}"), format_ident!("panel{panel}"));
            quote!(let #unit = &#panel[unit];)
        }
    }
}

fn pattern(of: &Pattern) -> TokenStream {
    match of {
        Pattern::Name(name) => self::name(name),
        Pattern::Skip => quote!(_),
        Pattern::Parts(parts) => {
            let parts = parts.iter().map(pattern);
            quote!([#(#parts),*])
        }
    }
}

fn expr(of: &Expr) -> TokenStream {
    match of {
        Expr::Variable(name) => self::name(name),
        Expr::Pointee(name) => {
            let name = self::name(name);
            quote!(*#name)
        }
        Expr::Value(of) => place(of),
        Expr::Read(of) => {
            let place = place(of);
            quote!(&#place)
        }
        Expr::Write(of) => {
            let place = place(of);
            quote!(&mut #place)
        }
        Expr::Reborrow(name) => {
            let name = self::name(name);
            quote!(&mut *#name)
        }
        Expr::Bytes(of) => {
            let place = place(of);
            quote!(bytemuck::bytes_of(&#place))
        }
        Expr::Float(value) => value::float(*value),
        Expr::Of(op, arguments) => {
            let ((word, constant), arguments) = (op.spelling(), arguments.iter().map(expr));
            let word = name(word);
            match constant {
                Constant::None => quote!(lanes::#word(#(#arguments),*)),
                Constant::Parameter(value) => {
                    let value = Literal::i64_unsuffixed(value);
                    quote!(lanes::#word::<#value>(#(#arguments),*))
                }
                Constant::Argument(value) => {
                    let value = Literal::u32_unsuffixed(value);
                    quote!(lanes::#word(#(#arguments,)* #value))
                }
            }
        }
        Expr::ByTurns(at, choices) => {
            let (at, [even, odd]) = (index(at), choices.each_ref().map(expr));
            quote!(if #at % 2 == 0 { #even } else { #odd })
        }
    }
}

fn place(Place { base, at }: &Place) -> TokenStream {
    let (owner, field) = match base {
        Base::Unit(vector, field) => (format!("unit{vector}"), Some(field)),
        Base::Columns(field) => ("columns".to_owned(), Some(field)),
        Base::Stage(field) => ("stage".to_owned(), Some(field)),
        Base::Palette(field) => ("palette".to_owned(), Some(field)),
        Base::Name(name) => (name.clone(), None),
    };
    let (owner, field, at) = (name(&owner), field.map(|field| name(field)), at.iter().map(index));
    let field = field.map(|field| quote!(.#field));
    quote!(#owner #field #([#at])*)
}

fn index(of: &Index) -> TokenStream {
    match of {
        Index::Constant(value) => value.to_token_stream(),
        Index::Name(name) => self::name(name),
        Index::Of(one, arithmetic, other) => {
            let (one, other) = (index(one), index(other));
            match arithmetic {
                Arithmetic::Plus => quote!(#one + #other),
                Arithmetic::Times => quote!(#one * #other),
                Arithmetic::Over => quote!(#one / #other),
                Arithmetic::Modulo => quote!(#one % #other),
            }
        }
    }
}
