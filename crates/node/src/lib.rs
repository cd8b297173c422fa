//! The node builder, and the preset node that it builds.
//!
//! *What it is for.* reth's typestate: [`NodeBuilder`] -> `with_types` -> `with_components` -> `with_add_ons` -> `launch`, or `node(ZkNode::default())` for the preset; hooks and
//! execution extensions are added on the way. [`CliRunner`] runs the result until a signal or a failure and shuts it down in order.
//!
//! *What it must not do.* No protocol logic, and nothing that an extension could do: settlement, the L1 watcher and explorers' namespaces are installed from outside through
//! the same methods that a plug-in's author uses.
//!
//! *How a block moves through it.* It does not; this crate opens the storage, builds the components, connects engine, extensions and RPC, and gets out of the way. The order of a
//! launch is in [`launch`].
#![cfg_attr(not(test), warn(unused_crate_dependencies))]

mod adapter;
pub mod builder;
mod components;
pub mod exit;
mod handle;
mod hooks;
pub mod launch;
mod node;
mod rpc;
mod runner;

pub use adapter::NodeAdapter;
pub use builder::{
    NodeBuilder, NodeBuilderWithComponents, NodeBuilderWithTypes, WithLaunchContext,
};
pub use components::{
    BuilderContext, Components, ComponentsBuilder, ExecutorBuilder, NodeComponentsBuilder,
    PoolBuilder,
};
pub use exit::NodeExitFuture;
pub use handle::{FullNode, NodeHandle};
pub use hooks::NodeHooks;
pub use launch::{DefaultNodeLauncher, LaunchNode};
pub use node::{
    Node, NodeTypesWithStorage, ZkExecutorBuilder, ZkNode, ZkNodeBuilder, ZkPoolBuilder,
};
pub use rpc::{RethRpcAddOns, RpcAddOns, RpcHandle, RpcHooks};
pub use runner::{CliContext, CliRunner, CliRunnerConfig};
