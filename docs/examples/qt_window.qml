import QtQuick
import QtQuick.Controls

ApplicationWindow {
    visible: true
    width: 480
    height: 480
    title: "Devices at " + registry.url

    ListView {
        objectName: "list"
        anchors.fill: parent
        clip: true
        model: devices
        ScrollBar.vertical: ScrollBar {}

        delegate: Item {
            id: row
            required property string name
            required property string deviceType
            required property string addr
            required property date presentSince
            required property bool live

            width: ListView.view.width
            height: 44
            opacity: live ? 1 : 0.5

            // Text takes tags for its own, unless it is told that there are none.
            Text {
                x: 12; y: 4
                text: row.name
                textFormat: Text.PlainText
                font.bold: true
                color: palette.text
            }
            Text {
                x: 12; y: 23
                text: row.deviceType + " at " + row.addr
                textFormat: Text.PlainText
                color: palette.text
            }
            Text {
                anchors { right: parent.right; rightMargin: 16; verticalCenter: parent.verticalCenter }
                text: Qt.formatDateTime(row.presentSince, "yyyy-MM-dd HH:mm:ss")
                color: palette.text
            }
        }
    }

    footer: Label {
        padding: 8
        textFormat: Text.PlainText
        text: registry.state + " since " + Qt.formatTime(registry.since, "HH:mm:ss")
              + (registry.why ? ": " + registry.why : "")
    }
}
