//! reth: `node/builder/src/exex.rs`. How an extension is started.

use crate::ExExContext;
use futures::{FutureExt, future::BoxFuture};
use std::future::Future;
use zkos_node_core::FullNodeComponents;

/// Starts an extension in two stages: the outer future initialises, and its error aborts the launch of the node; the inner one runs as long as the node.
///
/// Implemented for closures: `|ctx| async move { Ok(run(ctx)) }`.
pub trait LaunchExEx<Node: FullNodeComponents>: Send {
    /// Initialises the extension.
    fn launch(
        self,
        ctx: ExExContext<Node>,
    ) -> impl Future<Output = eyre::Result<impl Future<Output = eyre::Result<()>> + Send + 'static>>
    + Send
    + 'static;
}

impl<Node, F, Fut, E> LaunchExEx<Node> for F
where
    Node: FullNodeComponents,
    F: FnOnce(ExExContext<Node>) -> Fut + Send,
    Fut: Future<Output = eyre::Result<E>> + Send + 'static,
    E: Future<Output = eyre::Result<()>> + Send + 'static,
{
    fn launch(
        self,
        ctx: ExExContext<Node>,
    ) -> impl Future<Output = eyre::Result<impl Future<Output = eyre::Result<()>> + Send + 'static>>
    + Send
    + 'static {
        self(ctx)
    }
}

/// A running extension. Its end, with or without an error, takes the node down.
pub type BoxExEx = BoxFuture<'static, eyre::Result<()>>;

/// [`LaunchExEx`] as an object, so that extensions of different types fit one list.
pub trait BoxedLaunchExEx<Node: FullNodeComponents>: Send {
    /// Initialises the extension.
    fn launch(self: Box<Self>, ctx: ExExContext<Node>)
    -> BoxFuture<'static, eyre::Result<BoxExEx>>;
}

impl<Node: FullNodeComponents, E: LaunchExEx<Node> + 'static> BoxedLaunchExEx<Node> for E {
    fn launch(
        self: Box<Self>,
        ctx: ExExContext<Node>,
    ) -> BoxFuture<'static, eyre::Result<BoxExEx>> {
        let init = LaunchExEx::launch(*self, ctx);
        async move {
            let exex = init.await?;
            Ok(exex.boxed())
        }
        .boxed()
    }
}
