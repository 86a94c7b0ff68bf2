"""The app: title, theme and navigation round the pages. Start it with `make app`.

The theme and the server's settings are in `.streamlit/config.toml`. A page joins the navigation
when it is finished.
"""

import streamlit as st

from fkd.ui import frame

page = frame.navigation(
    [
        st.Page("pages/detect.py", title="Detect", url_path="detect"),
        st.Page("pages/explore.py", title="Explore", url_path="explore"),
        st.Page("pages/train.py", title="Train", url_path="train"),
        st.Page("pages/models.py", title="Models", url_path="models"),
        st.Page("pages/feature_maps.py", title="Feature maps", url_path="feature_maps"),
    ]
)
st.set_page_config(page_title=f"{page.title} · fkd", page_icon=frame.ICON, layout="wide")
st.logo(frame.LOGO, size="large")
frame.run(page)
