//! What an element is for a reader of text.

/// The elements that matter for text; all others are [`Tag::Other`], which is part of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// A text, no element.
    Text,
    /// Nothing a reader reads: scripts, styles, controls, pictures.
    Unseen,
    Html,
    Head,
    Body,
    Title,
    Meta,
    Link,
    Script,
    A,
    Article,
    Aside,
    Block,
    Blockquote,
    Br,
    Caption,
    Cell,
    Code,
    Definition,
    Figcaption,
    Figure,
    Footer,
    Form,
    Header,
    /// `h1` to `h6`.
    Heading(u8),
    Hr,
    Item,
    Main,
    Nav,
    OrderedList,
    Paragraph,
    Pre,
    Row,
    Section,
    Strong,
    Table,
    TableSection,
    Time,
    UnorderedList,
    /// An element without content.
    Void,
    Other,
}

impl Tag {
    /// The meaning of an HTML element by its name in lower case.
    pub(super) fn named(name: &str) -> Self {
        match name {
            "a" => Self::A,
            "article" => Self::Article,
            "aside" => Self::Aside,
            "b" | "strong" => Self::Strong,
            "blockquote" => Self::Blockquote,
            "body" => Self::Body,
            "br" => Self::Br,
            "caption" => Self::Caption,
            "code" | "kbd" | "samp" | "tt" => Self::Code,
            "dd" | "dt" => Self::Definition,
            "address" | "center" | "details" | "dialog" | "dir" | "div" | "dl" | "fieldset" | "hgroup" | "legend" | "menu" | "optgroup"
            | "search" | "summary" => Self::Block,
            "figcaption" => Self::Figcaption,
            "figure" => Self::Figure,
            "footer" => Self::Footer,
            "form" => Self::Form,
            "h1" => Self::Heading(1),
            "h2" => Self::Heading(2),
            "h3" => Self::Heading(3),
            "h4" => Self::Heading(4),
            "h5" => Self::Heading(5),
            "h6" => Self::Heading(6),
            "head" => Self::Head,
            "header" => Self::Header,
            "hr" => Self::Hr,
            "html" => Self::Html,
            "li" => Self::Item,
            "link" => Self::Link,
            "main" => Self::Main,
            "meta" => Self::Meta,
            "nav" => Self::Nav,
            "ol" => Self::OrderedList,
            "p" => Self::Paragraph,
            "pre" | "listing" | "plaintext" | "xmp" => Self::Pre,
            "script" => Self::Script,
            "section" => Self::Section,
            "table" => Self::Table,
            "tbody" | "tfoot" | "thead" => Self::TableSection,
            "td" | "th" => Self::Cell,
            "time" => Self::Time,
            "title" => Self::Title,
            "tr" => Self::Row,
            "ul" => Self::UnorderedList,
            "area" | "base" | "basefont" | "bgsound" | "col" | "embed" | "frame" | "img" | "input" | "keygen" | "param" | "source"
            | "track" | "wbr" => Self::Void,
            "applet" | "audio" | "button" | "canvas" | "colgroup" | "datalist" | "frameset" | "iframe" | "label" | "map" | "meter"
            | "noembed" | "noframes" | "noscript" | "object" | "option" | "output" | "progress" | "rp" | "rt" | "select" | "style"
            | "svg" | "template" | "textarea" | "video" => Self::Unseen,
            _ => Self::Other,
        }
    }

    /// The meaning of an element of SVG or MathML: formulas are text, pictures are not.
    pub(super) fn foreign(name: &str) -> Self {
        match name {
            "svg" | "annotation" | "annotation-xml" => Self::Unseen,
            "mtable" => Self::Block,
            _ => Self::Other,
        }
    }

    /// Whether it never has content.
    pub(super) fn is_void(self) -> bool {
        matches!(self, Self::Void | Self::Br | Self::Hr | Self::Meta | Self::Link)
    }

    /// Whether it begins and ends lines.
    pub(super) fn is_block(self) -> bool {
        !matches!(
            self,
            Self::Text
                | Self::Unseen
                | Self::A
                | Self::Code
                | Self::Strong
                | Self::Time
                | Self::Void
                | Self::Other
                | Self::Br
                | Self::Script
        )
    }

    /// Whether a blank line stands before and after it.
    pub(super) fn is_paragraph(self) -> bool {
        matches!(
            self,
            Self::Paragraph
                | Self::Heading(_)
                | Self::Pre
                | Self::Blockquote
                | Self::Table
                | Self::UnorderedList
                | Self::OrderedList
                | Self::Hr
                | Self::Figure
                | Self::Article
                | Self::Section
        )
    }
}
