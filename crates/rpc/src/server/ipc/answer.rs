use crate::server::methods::Calls;
use jsonrpsee::{
    Extensions,
    core::{
        middleware::{Batch, BatchEntry, BatchEntryErr, Notification},
        server::{MethodResponse, helpers::prepare_error},
    },
    types::{ErrorCode, ErrorObjectOwned, Id, Request, error::reject_too_big_batch_request},
};
use serde_json::value::RawValue;

/// Answers one text: a call, a notification, or a batch of them.
pub(super) async fn answer<S>(
    service: &S,
    text: &[u8],
    max_batch: u32,
    extensions: &Extensions,
) -> MethodResponse
where
    S: Calls,
{
    if text.first() != Some(&b'[') {
        return match entry(text, extensions) {
            Ok(BatchEntry::Call(request)) => service.call(request).await,
            Ok(BatchEntry::Notification(notification)) => service.notification(notification).await,
            Err((id, code)) => MethodResponse::error(id, ErrorObjectOwned::from(code)),
        };
    }
    let Ok(texts) = serde_json::from_slice::<Vec<&RawValue>>(text) else {
        return MethodResponse::error(Id::Null, ErrorObjectOwned::from(ErrorCode::ParseError));
    };
    if texts.len() > max_batch as usize {
        return MethodResponse::error(Id::Null, reject_too_big_batch_request(max_batch as usize));
    }
    let entries = texts.into_iter().map(|text| {
        entry(text.get().as_bytes(), extensions)
            .map_err(|(id, _)| BatchEntryErr::new(id, ErrorCode::InvalidRequest.into()))
    });
    service.batch(Batch::from(entries.collect())).await
}

fn entry<'a>(
    text: &'a [u8],
    extensions: &Extensions,
) -> Result<BatchEntry<'a>, (Id<'a>, ErrorCode)> {
    if let Ok(mut request) = serde_json::from_slice::<Request<'a>>(text) {
        request.extensions = extensions.clone();
        return Ok(BatchEntry::Call(request));
    }
    if let Ok(mut notification) = serde_json::from_slice::<Notification<'a>>(text) {
        notification.extensions = extensions.clone();
        return Ok(BatchEntry::Notification(notification));
    }
    Err(prepare_error(text))
}
