//! The names that were seen at each position of a path.

use super::segment::{ID, template};
use super::{EndpointId, Merge};

/// Segments that are told apart; what is deeper is [`REST`].
const DEPTH: usize = 16;

/// Stands in a template for all segments after the sixteenth.
const REST: &str = "{rest}";

/// A name with at least so many requests, and [`SHARE`], stays when the others become `{id}`.
const ESTABLISHED: u64 = 32;

/// At least one of so many requests at the position.
const SHARE: u64 = 64;

/// A position in paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeId(u32);

/// What happened to endpoints when names became `{id}`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Move {
    /// Names became `{id}`.
    Collapsed,
    /// This endpoint ends at another node.
    End { id: EndpointId, node: NodeId },
    /// Two ended at the same node.
    Merged(Merge),
}

#[derive(Debug, Clone)]
pub(super) struct Tree {
    /// The first is the root; those in `free` are unused.
    nodes: Vec<Node>,
    free: Vec<NodeId>,
    most: usize,
}

#[derive(Debug, Clone)]
struct Node {
    parent: NodeId,
    /// By name, sorted.
    names: Vec<(Box<str>, NodeId)>,
    /// Ids, and names that became ids.
    id: Option<NodeId>,
    /// No new names: they are ids.
    collapsed: bool,
    requests: u64,
    /// The endpoints of paths that end here, by method.
    ends: Vec<(u8, EndpointId)>,
}

const ROOT: NodeId = NodeId(0);

impl Tree {
    /// With room for so many nodes.
    pub(super) fn new(most: usize) -> Self {
        Self { nodes: vec![Node::new(ROOT)], free: Vec::new(), most: most.max(1) }
    }

    /// Where `path` ends. Learns its names: more than `names` different ones at a position become `{id}`.
    /// `None` without room.
    pub(super) fn walk(
        &mut self,
        path: &str,
        names: usize,
        moves: &mut Vec<Move>,
    ) -> Option<NodeId> {
        let mut at = ROOT;
        // The first segment is what stands before the first slash: nothing, or `*`.
        for (depth, segment) in path.strip_prefix('/').unwrap_or(path).split('/').enumerate() {
            let node = self.get_mut(at)?;
            node.requests = node.requests.saturating_add(1);
            if depth == DEPTH {
                at = self.named(at, REST, usize::MAX, moves)?;
                break;
            }
            let template = template(segment);
            at = if template == ID {
                self.id(at)?
            } else {
                self.named(at, &template, names, moves)?
            };
        }
        let end = self.get_mut(at)?;
        end.requests = end.requests.saturating_add(1);
        Some(at)
    }

    pub(super) fn end(&self, node: NodeId, method: u8) -> Option<EndpointId> {
        let ends = &self.get(node)?.ends;
        ends.iter().find(|(known, _)| *known == method).map(|(_, id)| *id)
    }

    pub(super) fn set_end(&mut self, node: NodeId, method: u8, id: EndpointId) {
        if let Some(node) = self.get_mut(node) {
            node.ends.push((method, id));
        }
    }

    /// The template of a node.
    pub(super) fn path(&self, node: NodeId) -> String {
        let mut segments = Vec::new();
        let mut at = node;
        while at != ROOT && segments.len() <= DEPTH + 1 {
            let Some(parent) = self.get(at).map(|node| node.parent) else { break };
            let names = self.get(parent).map_or(&[][..], |node| &node.names);
            let name = names.iter().find(|(_, child)| *child == at);
            segments.push(name.map_or(ID, |(name, _)| &**name));
            at = parent;
        }
        if segments == ["*"] {
            return "*".to_owned();
        }
        let mut path = String::new();
        for segment in segments.iter().rev() {
            path.push('/');
            path.push_str(segment);
        }
        path
    }

    fn get(&self, node: NodeId) -> Option<&Node> {
        self.nodes.get(node.0 as usize)
    }

    fn get_mut(&mut self, node: NodeId) -> Option<&mut Node> {
        self.nodes.get_mut(node.0 as usize)
    }

    fn id(&mut self, at: NodeId) -> Option<NodeId> {
        if let Some(id) = self.get(at)?.id {
            return Some(id);
        }
        let new = self.add(at)?;
        self.get_mut(at)?.id = Some(new);
        Some(new)
    }

    fn named(
        &mut self,
        at: NodeId,
        name: &str,
        names: usize,
        moves: &mut Vec<Move>,
    ) -> Option<NodeId> {
        let node = self.get(at)?;
        let place = match node.find(name) {
            Ok(found) => return node.names.get(found).map(|(_, child)| *child),
            Err(place) => place,
        };
        if node.collapsed {
            return self.id(at);
        }
        if node.names.len() >= names {
            self.collapse(at, names, moves);
            return self.id(at);
        }
        let new = self.add(at)?;
        self.get_mut(at)?.names.insert(place, (name.into(), new));
        Some(new)
    }

    fn add(&mut self, parent: NodeId) -> Option<NodeId> {
        if let Some(node) = self.free.pop() {
            *self.get_mut(node)? = Node::new(parent);
            return Some(node);
        }
        if self.nodes.len() >= self.most {
            return None;
        }
        let new = NodeId(u32::try_from(self.nodes.len()).ok()?);
        self.nodes.push(Node::new(parent));
        Some(new)
    }

    /// Makes the names at `at` that are rare one `{id}`.
    fn collapse(&mut self, at: NodeId, names: usize, moves: &mut Vec<Move>) {
        moves.push(Move::Collapsed);
        let Some(node) = self.get_mut(at) else { return };
        node.collapsed = true;
        let requests = node.requests;
        let all = std::mem::take(&mut node.names);
        let (kept, rare): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, child)| {
            let own = self.get(*child).map_or(0, |child| child.requests);
            own >= ESTABLISHED && own.saturating_mul(SHARE) >= requests
        });
        if let Some(node) = self.get_mut(at) {
            node.names = kept;
        }
        for (_, child) in rare {
            self.becomes_id(at, child, names, moves);
        }
    }

    /// `child`, which has no name any more, becomes the ids of `at`, or a part of them.
    fn becomes_id(&mut self, at: NodeId, child: NodeId, names: usize, moves: &mut Vec<Move>) {
        let Some(node) = self.get_mut(at) else { return };
        match node.id {
            Some(id) => self.merge(id, child, names, moves),
            None => {
                node.id = Some(child);
                self.set_parent(child, at);
            }
        }
    }

    fn set_parent(&mut self, node: NodeId, parent: NodeId) {
        if let Some(node) = self.get_mut(node) {
            node.parent = parent;
        }
    }

    /// Everything at and below `from` goes to the same place at and below `into`. As deep as paths are.
    fn merge(&mut self, into: NodeId, from: NodeId, names: usize, moves: &mut Vec<Move>) {
        let Some(gone) = self.get_mut(from) else { return };
        let gone = std::mem::replace(gone, Node::new(ROOT));
        self.free.push(from);
        let Some(node) = self.get_mut(into) else { return };
        node.requests = node.requests.saturating_add(gone.requests);
        node.collapsed |= gone.collapsed;
        for (method, id) in gone.ends {
            match node.ends.iter().find(|(known, _)| *known == method) {
                Some(&(_, goes_on)) => {
                    moves.push(Move::Merged(Merge { from: id, into: goes_on }));
                }
                None => {
                    node.ends.push((method, id));
                    moves.push(Move::End { id, node: into });
                }
            }
        }
        if let Some(child) = gone.id {
            self.becomes_id(into, child, names, moves);
        }
        for (name, child) in gone.names {
            let Some(node) = self.get_mut(into) else { return };
            match node.find(&name) {
                Ok(found) => {
                    if let Some(same) = node.names.get(found).map(|(_, child)| *child) {
                        self.merge(same, child, names, moves);
                    }
                }
                Err(place) => {
                    node.names.insert(place, (name, child));
                    self.set_parent(child, into);
                }
            }
        }
        if self.get(into).is_some_and(|node| {
            node.names.len() > names || (node.collapsed && !node.names.is_empty())
        }) {
            self.collapse(into, names, moves);
        }
    }
}

impl Node {
    fn new(parent: NodeId) -> Self {
        Self {
            parent,
            names: Vec::new(),
            id: None,
            collapsed: false,
            requests: 0,
            ends: Vec::new(),
        }
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.names.binary_search_by(|(known, _)| (**known).cmp(name))
    }
}
