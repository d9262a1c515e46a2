use super::*;

#[test]
fn an_error_is_said_by_the_names_that_the_standard_has() {
    for (value, function, expected) in [
        (RvError::PinIncorrect, Function::Login, "C_Login: CKR_PIN_INCORRECT"),
        (RvError::PinLenRange, Function::SetPIN, "C_SetPIN: CKR_PIN_LEN_RANGE"),
        (RvError::Cancel, Function::GetSlotList, "C_GetSlotList: CKR_CANCEL"),
        (RvError::NextOtp, Function::Login, "C_Login: CKR_NEXT_OTP"),
        (
            RvError::SessionReadWriteSoExists,
            Function::OpenSession,
            "C_OpenSession: CKR_SESSION_READ_WRITE_SO_EXISTS",
        ),
        (RvError::VendorDefined(0x8000_002a), Function::Login, "C_Login: 0x8000002a"),
        (RvError::UnknownErrorCode(0x7777), Function::Encrypt, "C_Encrypt: 0x7777"),
    ] {
        assert_eq!(text(&Pkcs11Error::Pkcs11(value, function)), expected);
    }
    assert_eq!(
        text(&Pkcs11Error::MissingSymbol("C_GetFunctionList")),
        "Missing PKCS#11 symbol: C_GetFunctionList"
    );
}
