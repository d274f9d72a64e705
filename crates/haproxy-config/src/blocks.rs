//! `.if` blocks: which lines HAProxy takes.

use crate::condition;
use crate::document::{Line, Presence};
use crate::mistake::MistakeKind;
use crate::{Surroundings, limits};

/// The blocks around a line, the innermost last.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    open: Vec<Block>,
    /// How many are open that are too deep to be read. What is in them is undecided.
    beyond: usize,
}

#[derive(Debug)]
struct Block {
    /// The line of its `.if`, and its column.
    began: (usize, usize),
    outside: Presence,
    now: Presence,
    /// Whether a branch was taken.
    taken: Taken,
    has_else: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    No,
    Maybe,
    Yes,
}

impl Blocks {
    pub(crate) fn presence(&self) -> Presence {
        let presence = self.open.last().map_or(Presence::Active, |block| block.now);
        if self.beyond > 0 { presence.min(Presence::Undecided) } else { presence }
    }

    /// The `.if` of the block that is open.
    pub(crate) fn innermost(&self) -> Option<(usize, usize)> {
        self.open.last().map(|block| block.began)
    }

    /// What a line beginning with a dot does. Gives the word that is wrong.
    pub(crate) fn directive(
        &mut self,
        line: &Line,
        surroundings: &Surroundings<'_>,
    ) -> Result<(), (usize, MistakeKind)> {
        let surplus = |allowed: usize| match line.words.get(allowed + 1) {
            Some(_) if line.presence == Presence::Skipped => Ok::<(), (usize, MistakeKind)>(()),
            Some(word) => Err((word.column, MistakeKind::UnexpectedArgument)),
            None => Ok(()),
        };
        let result = match line.keyword().unwrap_or_default() {
            b".if" => self.begin(line, surroundings),
            b".elif" => self.branch(Some(line), surroundings),
            b".else" => self.branch(None, surroundings).and(surplus(0).map_err(|(_, kind)| kind)),
            b".endif" => self.end().and(surplus(0).map_err(|(_, kind)| kind)),
            b".notice" | b".warning" | b".alert" | b".diag" => return surplus(1),
            _ if line.presence == Presence::Skipped => Ok(()),
            _ => Err(MistakeKind::UnknownDirective),
        };
        let argument = line.words.get(1).map_or(1, |word| word.column);
        let keyword = line.words.first().map_or(1, |word| word.column);
        result.map_err(|kind| match kind {
            MistakeKind::BadCondition | MistakeKind::UnexpectedArgument => (argument, kind),
            _ => (keyword, kind),
        })
    }

    fn begin(&mut self, line: &Line, surroundings: &Surroundings<'_>) -> Result<(), MistakeKind> {
        if self.beyond > 0 || self.open.len() >= limits::NESTING {
            self.beyond += 1;
            return Err(MistakeKind::TooDeep);
        }
        let outside = self.presence();
        let began = (line.number, line.words.first().map_or(1, |word| word.column));
        let (taken, now) = (Taken::No, outside);
        self.open.push(Block { began, outside, now, taken, has_else: false });
        self.branch(Some(line), surroundings)
    }

    /// `.if` and `.elif` with their line, `.else` without.
    fn branch(
        &mut self,
        line: Option<&Line>,
        surroundings: &Surroundings<'_>,
    ) -> Result<(), MistakeKind> {
        if self.beyond > 0 {
            return Ok(());
        }
        let block = self.open.last_mut().ok_or(MistakeKind::NoIf)?;
        if block.has_else {
            block.now = block.outside.min(Presence::Undecided);
            return Err(MistakeKind::AfterElse);
        }
        block.has_else = line.is_none();
        if block.outside == Presence::Skipped || block.taken == Taken::Yes {
            block.now = Presence::Skipped;
            return Ok(());
        }
        let condition = match line {
            Some(line) => condition::decide(&line.words, surroundings),
            None => Ok(Some(true)),
        };
        let (now, taken) = match (condition.unwrap_or(None), block.taken) {
            (Some(false), taken) => (Presence::Skipped, taken),
            (Some(true), Taken::No) => (Presence::Active, Taken::Yes),
            (Some(true), _) => (Presence::Undecided, Taken::Yes),
            (None, _) => (Presence::Undecided, Taken::Maybe),
        };
        block.now = now.min(block.outside);
        block.taken = taken;
        condition.map(drop)
    }

    fn end(&mut self) -> Result<(), MistakeKind> {
        if self.beyond > 0 {
            self.beyond -= 1;
            return Ok(());
        }
        self.open.pop().map(drop).ok_or(MistakeKind::NoIf)
    }
}
