use super::transport::TransportSelection;
use jsonrpsee::{Methods, RpcModule, core::RegisterMethodError, types::ErrorObjectOwned};
use std::collections::BTreeMap;
use zkos_node_core::args::RpcModuleSelection;

/// The methods that will be served, and the user's choice of namespaces.
#[derive(Debug, Clone)]
pub struct RpcModules {
    selection: TransportSelection,
    module: RpcModule<()>,
}

/// Namespace of a method: what stands before the first `_`.
pub(super) fn namespace(method: &str) -> &str {
    method.split_once('_').map_or(method, |(namespace, _)| namespace)
}

impl RpcModules {
    /// No methods yet; every transport serves the same namespaces.
    pub fn new(selection: RpcModuleSelection) -> Self {
        Self::with_transports(selection.clone(), selection.clone(), selection)
    }

    /// No methods yet.
    pub fn with_transports(
        http: RpcModuleSelection,
        ws: RpcModuleSelection,
        ipc: RpcModuleSelection,
    ) -> Self {
        Self { selection: TransportSelection { http, ws, ipc }, module: RpcModule::new(()) }
    }

    /// Whether any transport serves a namespace.
    pub fn is_selected(&self, namespace: &str) -> bool {
        self.selection.contains(namespace)
    }

    pub(super) const fn transports(&self) -> &TransportSelection {
        &self.selection
    }

    /// Adds methods when the user selected their namespace; returns whether they were added. Methods of other namespaces among them are
    /// judged by their own.
    ///
    /// # Errors
    /// When a method is there already; nothing is added then.
    pub fn merge_if_module_configured(
        &mut self,
        name: &str,
        methods: impl Into<Methods>,
    ) -> Result<bool, RegisterMethodError> {
        if !self.selection.contains(name) {
            return Ok(false);
        }
        self.merge_configured(methods)?;
        Ok(true)
    }

    /// Adds those methods whose namespace the user selected. (reth's method of this name adds all of them.)
    ///
    /// # Errors
    /// When a method is there already; nothing is added then.
    pub fn merge_configured(
        &mut self,
        methods: impl Into<Methods>,
    ) -> Result<(), RegisterMethodError> {
        let methods = methods.into();
        let mut selected = Methods::new();
        for name in methods.method_names() {
            if self.selection.contains(namespace(name))
                && let Some(callback) = methods.method(name)
            {
                selected.verify_and_insert(name, callback.clone())?;
            }
        }
        self.module.merge(selected)
    }

    /// Adds methods, replacing those that are there already; namespaces that the user did not select are left out.
    ///
    /// # Errors
    /// Never for well-formed methods.
    pub fn add_or_replace_configured(
        &mut self,
        methods: impl Into<Methods>,
    ) -> Result<(), RegisterMethodError> {
        let methods = methods.into();
        for name in methods.method_names() {
            self.module.remove_method(name);
        }
        self.merge_configured(methods)
    }

    /// Removes a method; returns whether it was there.
    pub fn remove_method(&mut self, name: &'static str) -> bool {
        self.module.remove_method(name).is_some()
    }

    /// Names of all methods, sorted.
    pub fn method_names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.module.method_names().collect();
        names.sort_unstable();
        names
    }

    /// Namespaces that have methods, with their version, as `rpc_modules` tells them.
    pub fn modules(&self) -> BTreeMap<String, String> {
        let named = |name: &'static str| (namespace(name).to_owned(), "1.0".to_owned());
        self.module.method_names().map(named).collect()
    }

    /// All methods, and `rpc_modules` that lists their namespaces.
    ///
    /// # Errors
    /// When somebody registered an `rpc_modules` of its own.
    pub fn into_methods(self) -> Result<Methods, RegisterMethodError> {
        let mut modules = self.modules();
        modules.insert("rpc".to_owned(), "1.0".to_owned());
        let Self { selection, mut module } = self;
        module.register_method("rpc_modules", move |_, (), extensions| {
            let served = modules.iter().filter(|(name, _)| selection.serves(extensions, name));
            let served = served.map(|(name, version)| (name.clone(), version.clone()));
            Ok::<_, ErrorObjectOwned>(served.collect::<BTreeMap<_, _>>())
        })?;
        Ok(module.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn methods(names: &[&'static str]) -> Methods {
        let mut module = RpcModule::new(());
        for name in names {
            module.register_method(name, |_, (), _| 1u64).unwrap();
        }
        module.into()
    }

    #[test]
    fn only_selected_namespaces_are_merged() {
        let mut modules = RpcModules::new("eth,ots".parse().unwrap());
        assert!(modules.merge_if_module_configured("eth", methods(&["eth_a", "ethx_b"])).unwrap());
        assert!(!modules.merge_if_module_configured("zks", methods(&["zks_a"])).unwrap());
        assert!(
            modules.merge_if_module_configured("ots", methods(&["ots_a", "erigon_b"])).unwrap()
        );
        assert_eq!(modules.method_names(), ["eth_a", "ots_a"]);
        assert!(modules.merge_configured(methods(&["eth_a"])).is_err());
        modules.add_or_replace_configured(methods(&["eth_a", "eth_c"])).unwrap();
        assert_eq!(modules.method_names(), ["eth_a", "eth_c", "ots_a"]);
        assert!(modules.remove_method("eth_c"));
        assert!(!modules.remove_method("eth_c"));
    }

    #[tokio::test]
    async fn rpc_modules_lists_namespaces() {
        let mut modules = RpcModules::new(RpcModuleSelection::All);
        modules.merge_configured(methods(&["eth_a", "net_a"])).unwrap();
        let methods = modules.into_methods().unwrap();
        let listed: BTreeMap<String, String> =
            methods.call("rpc_modules", Vec::<u64>::new()).await.unwrap();
        assert_eq!(listed.keys().collect::<Vec<_>>(), ["eth", "net", "rpc"]);
    }
}
