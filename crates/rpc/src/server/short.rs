//! Which methods run on the thread that received the request.
//!
//! What takes long waits on the blocking pool anyway; but putting a large answer into JSON takes its time as well, and would keep the other connections of the thread
//! waiting. So every method runs on the runtime of the node, except those that are known to answer with little.

use jsonrpsee::{
    MethodCallback, MethodResponse, Methods,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, error::INTERNAL_ERROR_CODE},
};
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use tracing::error;

/// Methods whose answers are short: at most about a block, which the VM bounds.
pub(crate) const SHORT: [&str; 34] = [
    "eth_blobBaseFee",
    "eth_blockNumber",
    "eth_call",
    "eth_chainId",
    "eth_coinbase",
    "eth_estimateGas",
    "eth_fillTransaction",
    "eth_gasPrice",
    "eth_getAccountInfo",
    "eth_getBalance",
    "eth_getBlockByHash",
    "eth_getBlockByNumber",
    "eth_getBlockTransactionCountByHash",
    "eth_getBlockTransactionCountByNumber",
    "eth_getCode",
    "eth_getHeaderByHash",
    "eth_getHeaderByNumber",
    "eth_getRawTransactionByHash",
    "eth_getStorageAt",
    "eth_getTransactionByBlockHashAndIndex",
    "eth_getTransactionByBlockNumberAndIndex",
    "eth_getTransactionByHash",
    "eth_getTransactionBySenderAndNonce",
    "eth_getTransactionCount",
    "eth_getTransactionReceipt",
    "eth_maxPriorityFeePerGas",
    "eth_newBlockFilter",
    "eth_newFilter",
    "eth_newPendingTransactionFilter",
    "eth_sendRawTransaction",
    "eth_sendRawTransactionSync",
    "eth_uninstallFilter",
    "zks_gasPerPubdata",
    "zks_L1BatchNumber",
];

/// The same methods, of which those that are not known to be short run on `runtime`.
///
/// # Errors
/// Never: no name is there twice.
pub(super) fn keep_threads_free(
    methods: &Methods,
    runtime: &Handle,
) -> Result<Methods, RegisterMethodError> {
    let mut kept = Methods::new();
    for name in methods.method_names() {
        let callback = match methods.method(name) {
            Some(MethodCallback::Async(call)) if !SHORT.contains(&name) => {
                let (call, runtime) = (call.clone(), runtime.clone());
                MethodCallback::Async(Arc::new(move |id, params, connection, limit, extensions| {
                    let answer = call(id.clone(), params, connection, limit, extensions);
                    // Ends with the request of a client that went away.
                    let answer = AbortOnDropHandle::new(runtime.spawn(answer));
                    Box::pin(async move {
                        answer.await.unwrap_or_else(|failure| {
                            // Otherwise the node stops.
                            if failure.is_panic() {
                                error!(target: "rpc", method = name, %failure, "method panicked");
                            }
                            let code = INTERNAL_ERROR_CODE;
                            let error = ErrorObjectOwned::owned(code, "method failed", None::<()>);
                            MethodResponse::error(id, error)
                        })
                    })
                }))
            }
            Some(callback) => callback.clone(),
            None => continue,
        };
        kept.verify_and_insert(name, callback)?;
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonrpsee::RpcModule;
    use std::thread;
    use tokio::runtime::Builder;

    fn here() -> String {
        format!("{:?}", thread::current().id())
    }

    #[test]
    fn only_short_methods_stay_on_their_thread() {
        let mut module = RpcModule::new(());
        for name in ["eth_getBalance", "eth_getLogs"] {
            module.register_async_method(name, async |_, _, _| here()).unwrap();
        }
        module
            .register_async_method("eth_panics", async |_, _, _| -> u64 { panic!("as it should") })
            .unwrap();
        let node = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let methods = keep_threads_free(&module.into(), node.handle()).unwrap();
        let serve = Builder::new_current_thread().build().unwrap();
        serve.block_on(async {
            let call = async |name| methods.call::<_, String>(name, Vec::<u64>::new()).await;
            assert_eq!(call("eth_getBalance").await.unwrap(), here());
            assert_ne!(call("eth_getLogs").await.unwrap(), here());
            let failure = call("eth_panics").await.unwrap_err().to_string();
            assert!(failure.contains("method failed"), "{failure}");
        });
    }
}
