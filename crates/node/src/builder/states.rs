//! States of the builder behind the launch context.

use super::{Adapter, Base};
use crate::{FullNode, NodeComponentsBuilder, NodeHooks};
use std::{fmt, marker::PhantomData};
use zkos_exex::BoxedLaunchExEx;
use zkos_node_core::{FullNodeTypes, NodeAddOns};

/// Types are fixed.
#[derive(Debug)]
pub struct NodeBuilderWithTypes<T> {
    pub(crate) base: Base,
    _types: PhantomData<fn() -> T>,
}

impl<T: FullNodeTypes> NodeBuilderWithTypes<T> {
    pub(crate) const fn new(base: Base) -> Self {
        Self { base, _types: PhantomData }
    }

    pub(crate) fn with_components<CB>(
        self,
        components_builder: CB,
    ) -> NodeBuilderWithComponents<T, CB, ()>
    where
        T::Provider: Unpin,
        CB: NodeComponentsBuilder<T>,
    {
        NodeBuilderWithComponents {
            base: self.base,
            components_builder,
            add_ons: (),
            hooks: NodeHooks::default(),
            exexs: Vec::new(),
        }
    }
}

/// Components and add-ons are fixed; hooks and extensions may still be added.
pub struct NodeBuilderWithComponents<T, CB, AO>
where
    T: FullNodeTypes,
    T::Provider: Unpin,
    CB: NodeComponentsBuilder<T>,
    AO: NodeAddOns<Adapter<T, CB>>,
{
    pub(crate) base: Base,
    pub(crate) components_builder: CB,
    pub(crate) add_ons: AO,
    pub(crate) hooks: NodeHooks<Adapter<T, CB>, FullNode<Adapter<T, CB>, AO>>,
    pub(crate) exexs: Vec<(String, Box<dyn BoxedLaunchExEx<Adapter<T, CB>>>)>,
}

impl<T, CB, AO> NodeBuilderWithComponents<T, CB, AO>
where
    T: FullNodeTypes,
    T::Provider: Unpin,
    CB: NodeComponentsBuilder<T>,
    AO: NodeAddOns<Adapter<T, CB>>,
{
    pub(crate) fn with_add_ons<Next: NodeAddOns<Adapter<T, CB>>>(
        self,
        add_ons: Next,
    ) -> NodeBuilderWithComponents<T, CB, Next> {
        NodeBuilderWithComponents {
            base: self.base,
            components_builder: self.components_builder,
            add_ons,
            hooks: NodeHooks {
                on_component_initialized: self.hooks.on_component_initialized,
                // Their argument has the type of the add-ons; there can't be any before it is known.
                on_node_started: Vec::new(),
            },
            exexs: self.exexs,
        }
    }
}

impl<T, CB, AO> fmt::Debug for NodeBuilderWithComponents<T, CB, AO>
where
    T: FullNodeTypes,
    T::Provider: Unpin,
    CB: NodeComponentsBuilder<T>,
    AO: NodeAddOns<Adapter<T, CB>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeBuilderWithComponents")
            .field("base", &self.base)
            .field("hooks", &self.hooks)
            .field("exexs", &self.exexs.iter().map(|(id, _)| id).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
