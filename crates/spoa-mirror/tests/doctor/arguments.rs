//! What the doctor says of arguments, shown with real HAProxy.
