//! Security Token Service: who am I.

use crate::Emulator;
use crate::generated::sts as wire;

impl Emulator {
    pub(crate) fn sts(&self, request: &wire::Request) -> wire::Response {
        let wire::Request::GetCallerIdentity(_) = request;
        let account = &self.config.account_id;
        // AWS answers everybody, whatever the policies. The emulator has one caller per account.
        wire::Response::GetCallerIdentity(wire::GetCallerIdentityOutput {
            account: Some(account.clone()),
            arn: Some(format!("arn:aws:iam::{account}:user/elbow")),
            user_id: Some("AIDAELBOWLOCALUSER000".into()),
        })
    }
}
