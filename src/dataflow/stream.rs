//! What a program writes: pipelines and typed streams.

use std::any::Any;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;

use crate::dataflow::either_end::EitherEnd;
use crate::dataflow::end::OutboxEnd;
use crate::dataflow::graph::{EdgeKind, Graph, TaskNode};
use crate::dataflow::head::{Head, gate_head, source_head};
use crate::dataflow::plan::{BuildContext, Draft, Wires};
use crate::dataflow::route::{Copies, Forward, Route, Spread};
use crate::dataflow::sink_end::SinkEnd;
use crate::dataflow::source_head::FromSource;
use crate::dataflow::{
    Chain, ChainTask, End, Identity, Operator, SinkConnector, SourceConnector, Task, Then,
    TimeDomain, Untimed,
};
#[cfg(feature = "cli")]
use crate::dataflow::{Input, Lanes, TaskContext};
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::Outbox;
use crate::record::{Either, Never};
use crate::routing::Partitioner;

/// A job under construction. [`source`](Pipeline::source) begins streams; each must end in a sink.
///
/// Nothing runs until an engine is given the pipeline; what is wrong with it is told then, all at
/// once.
pub struct Pipeline {
    name: String,
    draft: Rc<RefCell<Draft>>,
}

/// The lanes that a chain reads.
#[cfg(feature = "cli")]
type BoxedLanes<C> = Box<dyn Lanes<<C as Chain>::In, <C as Chain>::Partial>>;

/// A stream whose task is still open: more operators can be fused to its chain.
///
/// Functions that take or give streams are written with `DataStream<impl Chain<Out = Order>>`;
/// [`boxed`](DataStream::boxed) cuts the chain where a type that can be named is wanted.
#[must_use = "a stream that leads to no sink is an error"]
pub struct DataStream<C: Chain> {
    draft: Rc<RefCell<Draft>>,
    ticket: usize,
    head: Head<C::In, C::Partial, C::Source>,
    chain: C,
    node: TaskNode,
}

/// A stream whose chain has been cut, so that its type can be named.
pub type BoxedStream<T, D = Untimed> = DataStream<Identity<T, D>>;

/// What the records of a chain's stream travel as between tasks.
pub(crate) type Row<C> = <<C as Chain>::Time as TimeDomain>::Row<<C as Chain>::Out>;

impl Pipeline {
    /// An empty pipeline. The name is shown in reports.
    pub fn new(name: impl Into<String>) -> Pipeline {
        Pipeline { name: name.into(), draft: Rc::default() }
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Begins a stream with the records of `connector`. A pipeline may have any number of sources.
    pub fn source<S: SourceConnector>(&self, connector: S) -> DataStream<FromSource<S::Source>> {
        let node = TaskNode {
            name: connector.name(),
            is_unbounded: !connector.is_bounded(),
            ..TaskNode::default()
        };
        if let Err(problem) = connector.check() {
            self.draft.borrow_mut().problems.push(problem);
        }
        self.draft.borrow_mut().inputs.extend(connector.input());
        let head = source_head(connector);
        DataStream::begin(Rc::clone(&self.draft), node, head, FromSource::new())
    }

    /// The graph so far.
    pub fn graph(&self) -> Graph {
        self.draft.borrow().graph.clone()
    }

    /// Says what would run: a line for each task with the tasks that read from it (`->` on the same
    /// partition, `=>` across partitions), and below it how its operators go about it where that
    /// depends on how they are set up, and why its keys do not move to other partitions while the
    /// job runs, where they do not.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::{connector::{blackhole, iterator}, prelude::*};
    /// # use millstream::time::watermark::Monotone;
    /// use millstream::operator::window::{Early, sliding};
    ///
    /// let pipeline = Pipeline::new("example");
    /// let timed = pipeline.source(iterator([1, 2])).assign_timestamps(|t| *t, Monotone::new());
    /// let minutes = timed.window_all(sliding(Duration::from_secs(60), Duration::from_secs(1)));
    /// minutes.early(Early::Records(10)).count().sink(blackhole());
    /// let lines = pipeline.explain();
    /// assert_eq!(lines.lines().nth(2), Some("    sliding windows: one accumulator for each of \
    ///     the 60 windows of a record, since they fire early"));
    /// ```
    pub fn explain(&self) -> String {
        self.draft.borrow().graph.to_string()
    }

    pub(crate) fn into_draft(self) -> (String, Rc<RefCell<Draft>>) {
        (self.name, self.draft)
    }
}

impl<C: Chain> DataStream<C> {
    pub(crate) fn begin(
        draft: Rc<RefCell<Draft>>,
        node: TaskNode,
        head: Head<C::In, C::Partial, C::Source>,
        chain: C,
    ) -> Self {
        let mut names = Vec::new();
        chain.describe(&mut names);
        let ticket = draft.borrow_mut().begin(names.first().unwrap_or(&&*node.name));
        DataStream { draft, ticket, head, chain, node }
    }

    /// Fuses `operator` to the chain. The built-in operators are methods that call this.
    pub fn apply<Op: Operator<C::Out>>(self, operator: Op) -> DataStream<Then<C, Op>> {
        self.rechain(|chain| Then::new(chain, operator))
    }

    /// The stream with another chain in its place: one that `change` makes of it.
    pub(crate) fn rechain<D>(self, change: impl FnOnce(C) -> D) -> DataStream<D>
    where
        D: Chain<In = C::In, Partial = C::Partial, Source = C::Source>,
    {
        DataStream {
            draft: self.draft,
            ticket: self.ticket,
            head: self.head,
            chain: change(self.chain),
            node: self.node,
        }
    }

    /// The stream with what `change` makes of the lanes of its task, on each partition, in their
    /// place. For simulations, which listen there.
    #[cfg(feature = "cli")]
    pub(crate) fn with_lanes(
        self,
        mut change: impl FnMut(&TaskContext, BoxedLanes<C>) -> BoxedLanes<C> + Send + 'static,
    ) -> Self {
        let mut head = self.head;
        let head = move |context: &BuildContext<'_>, before: Option<_>| {
            Ok(match head(context, before)? {
                Input::Lanes { lanes, moves } => {
                    Input::Lanes { lanes: change(context.task, lanes), moves }
                }
                source @ Input::Source(_) => source,
            })
        };
        DataStream { head: Box::new(head), ..self }
    }

    /// Names the task that this stream is a part of. Names are unique in a pipeline, 1..=128 bytes
    /// of letters, digits, spaces and `_-.:`.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let numbers = pipeline.source(iterator(0..3)).map(|n| n + 1).named("increment");
    /// numbers.collect();
    /// let report = Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(report.tasks[0].name, "increment");
    ///
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.node.given_name = Some(name.into());
        self
    }

    /// Says how the operators of this task go about it, for [`Pipeline::explain`].
    pub(crate) fn noted(mut self, note: Option<String>) -> Self {
        self.node.notes.extend(note);
        self
    }

    /// Labels what this task reads, for reports.
    pub fn labelled(mut self, label: &str) -> Self {
        self.node.name = label.to_owned();
        self
    }

    /// Ends the stream in a sink.
    ///
    /// ```
    /// # use millstream::{connector::{blackhole, iterator}, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let sink = blackhole();
    /// let count = sink.count();
    /// pipeline.source(iterator(0..3)).sink(sink);
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(count.records(), 3);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn sink<K: SinkConnector<Item = C::Out>>(mut self, mut connector: K) {
        self.node.target = connector.target();
        self.close(&connector.name(), &[], move |context, before| match before {
            Some(sink) => Ok(sink),
            None => Ok(SinkEnd::new(connector.open(context.task)?)),
        });
    }

    /// Cuts the chain here: what follows is a task of its own on the same partition, and the type
    /// can be named. Costs a lane within the partition, a few nanoseconds a batch.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// /// A type that a struct or a function can name.
    /// fn evens(numbers: BoxedStream<u64>) -> BoxedStream<u64> {
    ///     numbers.filter(|n| n % 2 == 0).boxed()
    /// }
    /// let kept = evens(pipeline.source(iterator(0..5)).boxed()).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(kept.take(), [0, 2, 4]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn boxed(self) -> BoxedStream<C::Out, C::Time> {
        let draft = Rc::clone(&self.draft);
        let wires = Wires::new(EdgeKind::Local);
        let edges = self.close_routed(vec![wires.clone()], || Forward);
        Self::follow(draft, edges, vec![wires])
    }

    /// The stream with nothing before it in its task: itself where that is so, else cut.
    pub(crate) fn headed(self) -> BoxedStream<C::Out, C::Time> {
        let stream: Box<dyn Any> = Box::new(self);
        match stream.downcast() {
            Ok(same) => *same,
            Err(stream) => stream.downcast::<Self>().expect("it was made of one").boxed(),
        }
    }

    /// Whether its task begins at a source.
    pub(crate) fn is_at_source(&self) -> bool {
        self.node.inputs.is_empty()
    }

    /// Notes that the job needs an [`Executor`](crate::dataflow::Executor).
    pub(crate) fn runs_futures(&self) {
        self.draft.borrow_mut().runs_futures = true;
    }

    /// Notes what is wrong with the stream, to be told when the pipeline is started.
    pub(crate) fn note_problem(&self, problem: Error) {
        self.draft.borrow_mut().problems.push(problem);
    }

    /// Copies the stream: both results carry every record.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let [all, large] = pipeline.source(iterator(0..5)).fork();
    /// let (all, large) = (all.collect(), large.filter(|n| *n > 2).collect());
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!((all.take().len(), large.take()), (5, vec![3, 4]));
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn fork(self) -> [BoxedStream<C::Out, C::Time>; 2]
    where
        C::Out: Clone,
    {
        let draft = Rc::clone(&self.draft);
        let wires = [Wires::new(EdgeKind::Local), Wires::new(EdgeKind::Local)];
        let edges = self.close_routed(wires.to_vec(), || Copies::<C::Out, C::Time>(PhantomData));
        let mut edges = edges.into_iter();
        wires.map(|wires| {
            let edge = edges.next().expect("an edge per copy");
            Self::follow(Rc::clone(&draft), vec![edge], vec![wires])
        })
    }

    /// Merges two streams of one type; no order between them.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let small = pipeline.source(iterator(0..3));
    /// let both = small.union(pipeline.source(iterator(10..13))).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// let mut both = both.take();
    /// both.sort();
    /// assert_eq!(both, [0, 1, 2, 10, 11, 12]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn union<D>(self, other: DataStream<D>) -> BoxedStream<C::Out, C::Time>
    where
        D: Chain<Out = C::Out, Time = C::Time>,
    {
        let draft = Rc::clone(&self.draft);
        let is_foreign = self.refuse_foreign(&other, "union");
        let (first, second) = (Wires::new(EdgeKind::Local), Wires::new(EdgeKind::Local));
        let mut edges = self.close_routed(vec![first.clone()], || Forward);
        let others = other.close_routed(vec![second.clone()], || Forward);
        if !is_foreign {
            // Edges are counted per pipeline; in this one, others' would be any.
            edges.extend(others);
        }
        Self::follow(draft, edges, vec![first, second])
    }

    /// Sends every record to every partition.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let everywhere = pipeline.source(iterator(0..3)).broadcast().collect();
    /// # Engine::new(Config::builder().partitions(2).build()?)?.run(pipeline)?;
    /// assert_eq!(everywhere.take().len(), 3 * 2);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn broadcast(self) -> BoxedStream<C::Out, C::Time>
    where
        C::Out: Clone,
    {
        let draft = Rc::clone(&self.draft);
        let wires = Wires::new(EdgeKind::Exchange);
        let edges =
            self.close_routed(vec![wires.clone()], || Copies::<C::Out, C::Time>(PhantomData));
        Self::follow(draft, edges, vec![wires])
    }

    /// Spreads the records over all partitions as `partitioner` says.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// # use millstream::routing::RoundRobin;
    /// let dealt = pipeline.source(iterator(0..3)).partition_by(RoundRobin::default()).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(dealt.take().len(), 3);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn partition_by<Q>(self, partitioner: Q) -> BoxedStream<C::Out, C::Time>
    where
        Q: Partitioner<C::Out>,
    {
        let draft = Rc::clone(&self.draft);
        let wires = Wires::new(EdgeKind::Exchange);
        let route = move || Spread::<Q, C::Out, C::Time>(partitioner.clone(), PhantomData);
        let edges = self.close_routed(vec![wires.clone()], route);
        Self::follow(draft, edges, vec![wires])
    }

    /// Whether `other` is of another pipeline, which is noted as a mistake of `what`.
    pub(super) fn refuse_foreign<D: Chain>(&self, other: &DataStream<D>, what: &str) -> bool {
        let is_foreign = !Rc::ptr_eq(&self.draft, &other.draft);
        if is_foreign {
            for draft in [&self.draft, &other.draft] {
                draft.borrow_mut().problems.push(Error::new(
                    ErrorKind::InvalidConfig,
                    format!("{what} of streams of two pipelines; both must come from one"),
                ));
            }
        }
        is_foreign
    }

    /// Closes the task with an outbox over all lanes of `wires`, one edge each.
    pub(super) fn close_routed<R: Route<Row<C>, Item = Row<C>, Partial = Never> + 'static>(
        self,
        wires: Vec<Wires<Row<C>, Never>>,
        mut route: impl FnMut() -> R + Send + 'static,
    ) -> Vec<usize> {
        let kinds: Vec<EdgeKind> = wires.iter().map(Wires::kind).collect();
        self.close("", &kinds, move |context, before| {
            let edges = wires.iter().map(|wires| wires.senders(context)).collect();
            let outbox = Outbox::over(edges, context.edge);
            Ok(OutboxEnd::<C::Out, C::Time, R>::new(outbox, route()).in_place_of(before))
        })
    }

    /// Begins the task that reads `edges`.
    fn follow(
        draft: Rc<RefCell<Draft>>,
        edges: Vec<usize>,
        wires: Vec<Wires<Row<C>, Never>>,
    ) -> BoxedStream<C::Out, C::Time> {
        let node = TaskNode { inputs: edges, ..TaskNode::default() };
        DataStream::begin(draft, node, gate_head(wires), Identity::new())
    }

    /// Closes the task with `end`; returns the indexes of its output edges.
    pub(crate) fn close<E: End<C::Out> + 'static>(
        self,
        end_name: &str,
        outputs: &[EdgeKind],
        mut end: impl FnMut(&BuildContext<'_>, Option<E>) -> Result<E> + Send + 'static,
    ) -> Vec<usize> {
        let DataStream { draft, ticket, mut head, chain, mut node } = self;
        node.name = task_name(&node, &chain, end_name);
        node.record_bytes = size_of::<Row<C>>();
        node.bound = chain.bound();
        node.pins_state = node.pins_state.or(chain.pins_state());
        let factory = move |context: &BuildContext<'_>, before: Option<Box<dyn Task>>| {
            let task = match before {
                Some(task) => ChainTask::of(task).over(context, &mut head, &mut end)?,
                None => {
                    let input = head(context, None)?;
                    let mut chain = chain.clone();
                    chain.open(context.task);
                    ChainTask::fresh(input, chain, end(context, None)?, context)
                }
            };
            Ok(Box::new(task) as Box<dyn Task>)
        };
        draft.borrow_mut().close(ticket, node, outputs, Box::new(factory))
    }

    /// Its open chain, and how many tasks stand before it; for tests of one chain.
    pub(crate) fn into_chain(self) -> (C, usize) {
        let tasks = self.draft.borrow().graph.tasks.len();
        (self.chain, tasks)
    }

    pub(crate) fn draft(&self) -> Rc<RefCell<Draft>> {
        Rc::clone(&self.draft)
    }
}

impl<L, R, C> DataStream<C>
where
    L: Send + 'static,
    R: Send + 'static,
    C: Chain<Out = Either<L, R>>,
{
    /// Deals the two outputs of a chain out to two streams.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// # use millstream::record::Either;
    /// let numbers = pipeline.source(iterator(0..4));
    /// let (even, odd) = numbers
    ///     .map(|n| if n % 2 == 0 { Either::Left(n) } else { Either::Right(n.to_string()) })
    ///     .split();
    /// let (even, odd) = (even.collect(), odd.collect());
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(even.take(), [0, 2]);
    /// assert_eq!(odd.take(), ["1", "3"]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn split(self) -> (BoxedStream<L, C::Time>, BoxedStream<R, C::Time>) {
        let draft = Rc::clone(&self.draft);
        let (left, right) = (Wires::new(EdgeKind::Local), Wires::new(EdgeKind::Local));
        let (to_left, to_right) = (left.clone(), right.clone());
        let edges = self.close("", &[EdgeKind::Local, EdgeKind::Local], move |context, before| {
            let end = EitherEnd::<L, R, C::Time>::new(
                Outbox::new(to_left.senders(context), context.edge),
                Outbox::new(to_right.senders(context), context.edge),
            );
            Ok(end.in_place_of(before))
        });
        let node = |edge| TaskNode { inputs: vec![edge], ..TaskNode::default() };
        let left_head = gate_head(vec![left]);
        let right_head = gate_head(vec![right]);
        (
            DataStream::begin(Rc::clone(&draft), node(edges[0]), left_head, Identity::new()),
            DataStream::begin(draft, node(edges[1]), right_head, Identity::new()),
        )
    }
}

/// Source, operators and sink, as far as the task has them.
fn task_name(node: &TaskNode, chain: &impl Chain, end_name: &str) -> String {
    if let Some(name) = &node.given_name {
        return name.clone();
    }
    let mut operators = Vec::new();
    chain.describe(&mut operators);
    let parts = std::iter::once(&*node.name).chain(operators).chain([end_name]);
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "pass".to_owned() } else { parts.join(" | ") }
}
