//! What the doctor says of waiting, shown with real HAProxy.
