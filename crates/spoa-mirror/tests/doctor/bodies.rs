//! What the doctor says of bodies, shown with real HAProxy.
